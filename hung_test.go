package sluice

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

// A process whose answers are given up, and that sends all the time, is well.
func TestStreamsThatAreLeft(t *testing.T) {
	t.Parallel()
	g := editProcesses(t, config.Processes{Max: 1, HungTimeout: time.Second})
	g.get("/")
	ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
	defer cancel()
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			r, _ := http.NewRequestWithContext(ctx, "GET", URL(g.s.Addrs()[0])+"flood", nil)
			resp, err := g.client.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			io.Copy(io.Discard, resp.Body) // until the time is over
		})
	}
	all.Wait()
	if lines := g.log.With("process aborted"); len(lines) > 0 {
		t.Errorf("taken for hung: %s", strings.Join(lines, "\n"))
	}
}

// The same with one whose client takes nothing of it.
func TestStreamThatIsNotRead(t *testing.T) {
	t.Parallel()
	g := editProcesses(t, config.Processes{Max: 1, HungTimeout: time.Second})
	g.get("/")
	ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", URL(g.s.Addrs()[0])+"flood", nil)
	resp, err := g.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	<-ctx.Done()
	if lines := g.log.With("process aborted"); len(lines) > 0 {
		t.Errorf("taken for hung: %s", strings.Join(lines, "\n"))
	}
}

// A process that hangs is ended although it is being replaced, and although
// nobody may wait so long for its answers.
func TestHungAndReplaced(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		c.Backends[0].Processes = config.Processes{Max: 1, MaxRequests: 3, HungTimeout: 2 * time.Second}
		c.Backends[0].Timeout.FirstByte = 10 * time.Second
	})
	first := g.pid()
	hangs := g.ask("/silent")
	await(t, "it drains", func() bool { g.get("/"); return g.count("process drains") > 0 })
	await(t, "it is ended", func() bool { return gone(first) })
	if n := g.count("process aborted"); n != 1 {
		t.Errorf("%d processes were aborted, want 1:\n%s", n, g.log)
	}
	if r := <-hangs; r.status != 502 {
		t.Errorf("the request that hung: %v, want 502", r)
	}
}

// A process that answers nobody in time is found, however many have been told
// so.
func TestHungBehindFirstByte(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		c.Backends[0].Processes = config.Processes{Max: 1, HungTimeout: time.Second}
		c.Backends[0].Timeout.FirstByte = 700 * time.Millisecond
	})
	first := g.pid()
	for end := time.Now().Add(10 * time.Second); g.count("process aborted") == 0; {
		if status, _, _ := g.try("GET", "/silent", ""); status == 200 {
			t.Fatal("an answer: the test shows nothing")
		}
		if time.Now().After(end) {
			t.Fatalf("process %d answers nobody, and is not found:\n%s", first, g.log)
		}
	}
}
