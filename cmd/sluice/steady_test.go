package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A steady is a load that does not stop: clients that ask one after the other,
// over TCP and over the unix socket.
type steady struct {
	good, bad atomic.Int64
	took      atomic.Int64           // nanoseconds, of the good ones
	first     atomic.Pointer[string] // what the first failure was
	stop      chan struct{}
	clients   sync.WaitGroup
}

func (s *served) load(clients int, ask func(*http.Client, string) string) *steady {
	l := &steady{stop: make(chan struct{})}
	for n := range clients {
		client := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
		if n%2 == 1 {
			client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", s.socket)
			}}
		}
		l.clients.Go(func() { // until end
			defer client.CloseIdleConnections()
			for {
				begin := time.Now()
				if why := ask(client, s.url+"status?200"); why == "" {
					l.took.Add(int64(time.Since(begin)))
					l.good.Add(1)
				} else {
					why = fmt.Sprintf("after %d good ones: %s", l.good.Load(), why)
					l.bad.Add(1)
					l.first.CompareAndSwap(nil, &why)
				}
				select {
				case <-l.stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	return l
}

// latency returns how long a request takes in the mean.
func (l *steady) latency() time.Duration {
	return time.Duration(l.took.Load() / max(l.good.Load(), 1))
}

func (l *steady) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.clients.Wait()
	if n := l.bad.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, the first %s", n, n+l.good.Load(), *l.first.Load())
	}
}

// main returns the process that serves now.
func (s *served) main() int {
	pid := s.cmd.Process.Pid
	for _, m := range handedTo.FindAllStringSubmatch(s.log.String(), -1) {
		pid, _ = strconv.Atoi(m[1])
	}
	return pid
}

// A change is a signal, how it is said that it has been carried out, and how
// often it is to be.
type change struct {
	signal      syscall.Signal
	done, notSo string
	times       int
	given       int
}

// carry asks for a change, and waits until it has been carried out, or given up:
// because a process was killed that had just been started for it.
func (s *served) carry(o *change) (done bool) {
	s.t.Helper()
	count := func(text string) int { return strings.Count(s.log.String(), text) }
	was, wasNot := count(o.done), count(o.notSo)
	if err := syscall.Kill(s.main(), o.signal); err != nil {
		s.t.Fatal(err)
	}
	for end := time.Now().Add(2 * time.Minute); count(o.done) == was && count(o.notSo) == wasNot; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("there is not: %q", o.done)
		}
	}
	return count(o.done) > was
}

// kill kills a process of the application, whatever it does.
func (s *served) kill() (killed bool) {
	var workers []int
	for _, p := range descendants(s.t, s.main()) {
		if p.name == "worker" && p.state != "Z" {
			workers = append(workers, p.pid)
		}
	}
	return len(workers) > 0 && syscall.Kill(workers[rand.IntN(len(workers))], syscall.SIGKILL) == nil
}

// Whatever is done to Sluice and to its processes, all at the same time, nobody
// who asks learns of it: 64 clients, 20 reloads that change the application, 20
// restarts, 5 successions and 200 SIGKILLs.
func TestNothingIsLostAtAll(t *testing.T) {
	const kills = 200
	configuration := func(n int) []string {
		return []string{fmt.Sprintf("env.GENERATION = %q", strconv.Itoa(n)), `env.GORACE = "atexit_sleep_ms=0"`}
	}
	s := serveOne(t, good, append(configuration(0), "processes.max = 8")...)
	s.says("process ready")
	l := s.load(64, ask)

	over := make(chan struct{})
	killed, begin, last := 0, time.Now(), time.Now()
	var killer sync.WaitGroup
	killer.Go(func() { // until over, or all are killed
		for tick := time.NewTicker(100 * time.Millisecond); ; {
			select {
			case <-tick.C:
			case <-over:
				return
			}
			// On a machine that is busy with something else, there are fewer for
			// as many requests.
			if time.Since(last) > 10*l.latency() && s.kill() {
				last = time.Now()
				killed++
			}
			if time.Since(begin) > 90*time.Second {
				return
			}
			if killed == kills {
				tick.Stop()
				return
			}
		}
	})
	changes := []*change{
		{signal: syscall.SIGHUP, done: "configuration reloaded", notSo: "reload failed", times: 20},
		{signal: syscall.SIGUSR1, done: "processes replaced", notSo: "restart failed", times: 20},
		{signal: syscall.SIGUSR2, done: "handed over, draining", notSo: "successor failed", times: 5},
	}
	tries := 0
	for left := 45; left > 0; tries++ {
		o := changes[rand.IntN(len(changes))]
		if o.given == o.times {
			continue
		}
		s.configure(good, append(configuration(tries+1), "processes.max = 8")...)
		if s.carry(o) {
			o.given++
			left--
		}
	}
	killer.Wait()
	close(over)
	l.end(t)
	t.Logf("%d requests, %d failed; 20 reloads, 20 restarts, 5 successions (%d tries), %d SIGKILLs", l.good.Load()+l.bad.Load(), l.bad.Load(), tries, killed)
	if l.good.Load() < 64*20 {
		t.Errorf("%d requests: the test shows nothing", l.good.Load())
	}
}
