package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"sync"
	"testing"
	"time"
)

// played is what came of the scenarios, by name and rule.
var played = sync.OnceValue(func() map[string]map[string]record {
	all := make(map[string]map[string]record)
	for _, s := range scenarios {
		all[s.name] = make(map[string]record)
		for _, r := range rules() {
			all[s.name][r.name] = s.play(r.rule).record
		}
	}
	return all
})

func p95(r record) time.Duration { return share(took(r.waits), 0.95) }

// Half of what the others make people wait, or less.
func TestLessWaiting(t *testing.T) {
	for _, name := range []string{"burst", "spikes", "first", "day", "unsaid"} {
		all := played()[name]
		ours := p95(all["Sluice"])
		for _, other := range []string{"lighttpd", "php-fpm dynamic"} {
			if theirs := p95(all[other]); ours > theirs/2 {
				t.Errorf("%s: p95 of waiting is %v, want at most half of the %v of %s", name, ours, theirs, other)
			}
		}
	}
}

// php-fpm's ondemand starts a process for whoever finds none idle. That cannot
// be quicker; but it costs.
func TestFewerProcesses(t *testing.T) {
	for _, s := range scenarios {
		all := played()[s.name]
		ours, theirs := all["Sluice"], all["php-fpm ondemand"]
		if ours.seconds > theirs.seconds*1.05 {
			t.Errorf("%s: %.0f s of processes, want no more than the %.0f s of ondemand", s.name, ours.seconds, theirs.seconds)
		}
	}
	quick := played()["quick"]
	if n := quick["Sluice"].started; n > 4 {
		t.Errorf("%d processes started for quick requests, want 4 or fewer (ondemand: %d)", n, quick["php-fpm ondemand"].started)
	}
}

// Nobody has said how many requests a process takes at a time. Where it is one,
// the others are started soon; where it is all that come, none is.
func TestUnsaid(t *testing.T) {
	slow := scenario{
		limits: limits{min: 1, max: 16, idle: 10 * time.Second, unsaid: true}, start: starting, length: 10 * time.Second,
		clients: true, even: true,
		load: func(at time.Duration) float64 {
			if at >= 2*time.Second {
				return 10
			}
			return 0
		},
	}
	for _, mean := range []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second} {
		slow.mean = mean
		at := time.Duration(-1)
		for _, s := range slow.play(&sluice{}).record.steps {
			if s.starting+s.ready >= 4 && at < 0 {
				at = s.at - 2*time.Second
			}
		}
		if at < 0 || at > 200*time.Millisecond {
			t.Errorf("10 clients, %v a request: 4 processes after %v, want them within 200ms", mean, at)
		}
	}
	if n := played()["together"]["Sluice"].started; n != 1 {
		t.Errorf("%d processes started for what one serves together, want 1", n)
	}
	together := slow
	together.takes, together.length = 1000, time.Minute
	for _, mean := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 70 * time.Millisecond} {
		together.mean = mean
		if n := together.play(&sluice{}).record.started; n != 1 {
			t.Errorf("10 clients, %v a request, all served together: %d processes started, want 1", mean, n)
		}
	}
}

// Under a load that does not change the number of processes does not, either;
// and where it changes by chance alone no process is ended within Idle after it
// was started, and so about one comes and goes in that time.
func TestNoOscillation(t *testing.T) {
	const idle = 10 * time.Second
	for _, load := range []float64{0.2, 1, 4, 9} {
		s := scenario{
			limits: limits{max: 32, idle: idle}, start: starting, length: 10 * time.Minute, mean: 50 * time.Millisecond,
			load: func(time.Duration) float64 { return load },
		}
		w := s.play(&sluice{})
		if n, most := w.record.started, 2*int(s.length/idle); n > most {
			t.Errorf("load %v: %d processes started in %v, want %d or fewer", load, n, s.length, most)
		}
		for _, at := range tooSoon(w.record.steps, idle) {
			t.Errorf("load %v: at %v a process is ended that was started within %v", load, at, idle)
		}
		want := int(math.Ceil(load))
		s.clients, s.even, s.load = true, true, func(time.Duration) float64 { return float64(want) }
		w = s.play(&sluice{})
		if n := w.record.started; n != want {
			t.Errorf("%d clients, one request after the other: %d processes started, want as many", want, n)
		}
	}
}

// tooSoon returns when the number of processes fell below what it had reached
// less than idle before.
func tooSoon(steps []step, idle time.Duration) (found []time.Duration) {
	reached := make(map[int]time.Duration)
	before := 0
	for _, s := range steps {
		n := s.starting + s.ready
		for up := before + 1; up <= n; up++ {
			reached[up] = s.at
		}
		for down := before; down > n; down-- {
			if s.at-reached[down] < idle {
				found = append(found, s.at)
			}
		}
		before = n
	}
	return found
}

// Everybody is served, or waits still, whatever the rule.
func TestNobodyIsLost(t *testing.T) {
	for _, s := range scenarios {
		if s.clients {
			continue // how many come depends on how quickly they are served
		}
		n := -1
		for _, r := range rules() {
			got := len(played()[s.name][r.name].waits)
			if n < 0 {
				n = got
			}
			if got != n || n == 0 {
				t.Errorf("%s: %d requests with %s, %d with the first", s.name, got, r.name, n)
			}
		}
	}
}

func TestDrawing(t *testing.T) {
	for _, s := range scenarios {
		svg := draw(s, []column{{"Sluice", played()[s.name]["Sluice"]}, {"lighttpd", played()[s.name]["lighttpd"]}})
		if len(svg) > 100_000 {
			t.Errorf("%s: %d bytes, want 100,000 at the most", s.name, len(svg))
		}
		again := []column{{"Sluice", s.play(&sluice{}).record}, {"lighttpd", s.play(lighttpd{}).record}}
		if !bytes.Equal(svg, draw(s, again)) {
			t.Errorf("%s: another drawing the second time", s.name)
		}
		if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) || bytes.Contains(svg, []byte("%!")) {
			t.Errorf("%s: something is no number", s.name)
		}
		d := xml.NewDecoder(bytes.NewReader(svg))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Errorf("%s: %v", s.name, err)
				break
			}
		}
	}
}
