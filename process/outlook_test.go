package process

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Processes that die young: each pause is known while it lasts, and nothing
// when there may be a process at any moment.
func TestOutlook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _, _ := manyFakes(t, Spec{Backoff: Backoff{Limit: 3}}, 2, func(n int, f *fake) string {
			if time.Sleep(100 * time.Millisecond); f.slot == 0 {
				time.Sleep(200 * time.Millisecond)
			}
			if n < 6 {
				return fmt.Sprint("slot ", f.slot)
			}
			close(f.ready)
			<-f.signals
			return "exit status 0"
		})
		ctx, cancel := context.WithCancel(t.Context())
		begin := time.Now()
		var got []string
		var watching sync.WaitGroup
		watching.Go(func() {
			g.Watch(ctx, func(ms []Member, _ Outlook) {
				line := fmt.Sprintf("%v: %d ready", time.Since(begin), len(ms))
				if o := expecting(g); o.Last != nil {
					line += fmt.Sprintf(", the next at %v after %q, loop %v", o.Next.Sub(begin), o.Last.Reason, o.Loop)
				}
				got = append(got, line)
			})
		})
		if o := expecting(g); o != (Outlook{}) {
			t.Errorf("Outlook of what has not been started = %+v, want none", o)
		}
		if err := g.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		want := []string{
			"0s: 0 ready",
			`300ms: 0 ready, the next at 1.1s after "slot 0", loop false`,
			"1.1s: 0 ready",
			`1.2s: 0 ready, the next at 1.3s after "slot 1", loop false`,
			"1.3s: 0 ready",
			`1.6s: 0 ready, the next at 3.2s after "slot 0", loop false`,
			"3.2s: 0 ready",
			`3.3s: 0 ready, the next at 3.6s after "slot 1", loop false`,
			"3.6s: 0 ready",
			`3.9s: 0 ready, the next at 1m3.3s after "slot 0", loop true`,
			"1m3.3s: 0 ready",
			"1m3.4s: 1 ready",
			"1m4.2s: 2 ready",
		}
		cancel()
		watching.Wait()
		if !slices.Equal(got, want) {
			t.Errorf("Watch told\n%q, want\n%q", got, want)
		}
		if err := g.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if o := expecting(g); o != (Outlook{}) {
			t.Errorf("Outlook of what has been stopped = %+v, want none", o)
		}
	})
}

// While somebody is just being told that a process is ready, nobody is asked
// whether it has requests: it has none yet, and would get some afterwards.
func TestIdleIsAskedOfThoseWhoKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, what)
		}
		spec := Spec{Idle: func(context.Context, Member) { note("idle?") }}
		g, _, _ := withFakes(t, spec, func(_ int, f *fake) string {
			close(f.ready)
			<-f.signals
			return "exit status 0"
		})
		ctx, cancel := context.WithCancel(t.Context())
		slow := make(chan struct{})
		var watching sync.WaitGroup
		watching.Go(func() {
			g.Watch(ctx, func(ms []Member, _ Outlook) {
				if len(ms) > 0 {
					<-slow
				}
				note(fmt.Sprint(len(ms), " ready"))
			})
		})
		if err := g.Start(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		g.Want(0)
		time.Sleep(time.Second)
		close(slow)
		synctest.Wait()
		cancel()
		watching.Wait()
		if err := g.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		told, asked := slices.Index(order, "1 ready"), slices.Index(order, "idle?")
		if told < 0 || asked < told {
			t.Errorf("in this order: %q, want the question after the news", order)
		}
	})
}
