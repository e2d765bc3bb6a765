package process

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// onTrial is a Spec whose processes must run for a second, and have finished if
// they end well.
func onTrial() Spec {
	return Spec{Trial: Trial{
		Length:   func() time.Duration { return time.Second },
		Finished: func(Exit) bool { return true },
	}}
}

// A process that has Finished is followed at once, and by so many a second at the
// most; one that has not is a death as ever.
func TestFinishedIsNoDeath(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name   string
		spec   Spec
		lives  time.Duration
		ends   string
		starts []time.Duration
		deaths int
	}{
		{"a life of some requests", onTrial(), 200 * ms, "exit status 0", []time.Duration{0, 200 * ms, 400 * ms, 600 * ms}, 0},
		{"a short one", onTrial(), 20 * ms, "exit status 0", []time.Duration{0, 50 * ms, 100 * ms, 150 * ms}, 0},
		{"the end of none", onTrial(), 20 * ms, "exit status 1", []time.Duration{0, 120 * ms, 340 * ms, 760 * ms}, 4},
		{"nobody says that it has finished", Spec{}, 20 * ms, "exit status 0", []time.Duration{0, 120 * ms, 340 * ms, 760 * ms}, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.spec.Backoff = Backoff{Min: 100 * ms, Limit: -1}
			inBubble(t, tt.spec, 1, func(n int, f *fake) string {
				if n > 3 {
					return f.obey()
				}
				close(f.ready)
				time.Sleep(tt.lives)
				return tt.ends
			}, func(t *testing.T, g *Group, st *stage) {
				for st.count() < 4 {
					time.Sleep(ms)
				}
				time.Sleep(tt.lives + ms)
				if got := st.starts()[:4]; !slices.Equal(got, tt.starts) {
					t.Errorf("starts at %v, want %v", got, tt.starts)
				}
				if got := g.Status()[0].Deaths; got != tt.deaths {
					t.Errorf("%d deaths in a row, want %d", got, tt.deaths)
				}
			})
		})
	}
}

// A new process that pings well, because an old one has answered, and dies after
// half a second leaves the old ones where they are.
func TestTrialKeepsTheOldOnes(t *testing.T) {
	inBubble(t, onTrial(), 2, func(n int, f *fake) string {
		close(f.ready)
		if n < 2 {
			return f.obey()
		}
		time.Sleep(500 * time.Millisecond)
		return "exit status 1"
	}, func(t *testing.T, g *Group, st *stage) {
		time.Sleep(time.Minute)
		err := g.Restart(t.Context())
		if err == nil || !strings.Contains(err.Error(), "the old ones stay") {
			t.Errorf("Restart = %v", err)
		}
		synctest.Wait()
		for n := range 2 {
			if told := st.told(n); told != "" {
				t.Errorf("old process %d was told: %s", n, told)
			}
		}
	})
}

// Under load processes end well before their trial is over, each after a few
// requests. The slot's trial goes on, and the restart comes to its end.
func TestTrialOfProcessesThatFinish(t *testing.T) {
	const ms = time.Millisecond
	inBubble(t, onTrial(), 2, func(n int, f *fake) string {
		close(f.ready)
		if n < 2 {
			return f.obey()
		}
		select {
		case <-f.signals:
		case <-time.After(150 * ms):
		}
		return "exit status 0"
	}, func(t *testing.T, g *Group, st *stage) {
		time.Sleep(time.Minute)
		begin := time.Now()
		if err := g.Restart(t.Context()); err != nil {
			t.Errorf("Restart = %v", err)
		}
		if took := time.Since(begin); took < time.Second || took > 1200*ms {
			t.Errorf("the restart took %v, want a second of trial", took)
		}
		synctest.Wait()
		for n := range 2 {
			if told := st.told(n); !strings.HasPrefix(told, "SIGTERM") {
				t.Errorf("old process %d was told %q, want to end", n, told)
			}
		}
	})
}

// A new slot counts while one that has done its share is followed by the next:
// of ten that all are as quick, there is hardly a moment when all are ready.
func TestPlanCountsThoseThatFinish(t *testing.T) {
	finished, died := &Exit{Finished: true}, &Exit{}
	for _, tt := range []struct {
		name   string
		state  State
		proved bool
		last   *Exit
		want   bool
	}{
		{"is ready", Ready, true, nil, true},
		{"was, and has finished", Down, true, finished, true},
		{"was, has finished, and starts again", Starting, true, finished, true},
		{"was never, and has finished", Starting, false, finished, false},
		{"was, and has died", Starting, true, died, false},
		{"starts", Starting, false, nil, false},
	} {
		fresh := &place{proved: tt.proved, view: view{Status: Status{State: tt.state, Last: tt.last}}}
		old := &place{old: true, view: view{Status: Status{State: Ready}}}
		if _, retire := plan([]*place{old, fresh}, 1); (len(retire) == 1) != tt.want {
			t.Errorf("a new one that %s: the old one goes: %v, want %v", tt.name, !tt.want, tt.want)
		}
	}
}

// Only what ran counts, not the pauses: who ends at once, again and again, is
// not taken for ready before the patience of whoever asked for the restart ends.
func TestTrialOfProcessesThatDoNothing(t *testing.T) {
	inBubble(t, onTrial(), 1, func(n int, f *fake) string {
		close(f.ready)
		if n < 1 {
			return f.obey()
		}
		time.Sleep(time.Millisecond)
		return "exit status 0"
	}, func(t *testing.T, g *Group, st *stage) {
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, errors.New("that is enough"))
		defer cancel()
		if err := g.Restart(ctx); err == nil || !strings.Contains(err.Error(), "that is enough") {
			t.Errorf("Restart = %v", err)
		}
		synctest.Wait()
		if told := st.told(0); told != "" {
			t.Errorf("the old process was told: %s", told)
		}
		if n := st.count(); n > 10*20+5 {
			t.Errorf("%d processes in ten seconds, want at most 20 a second", n)
		}
	})
}

// A death ends the time on trial that others have gathered.
func TestTrialBeginsAnewAfterADeath(t *testing.T) {
	const ms = time.Millisecond
	spec := onTrial()
	spec.Backoff = Backoff{Min: 100 * ms, Limit: -1}
	inBubble(t, spec, 1, func(n int, f *fake) string {
		close(f.ready)
		switch n {
		case 0:
			time.Sleep(900 * ms)
			return "exit status 0"
		case 1:
			return "exit status 1"
		}
		return f.obey()
	}, func(t *testing.T, g *Group, st *stage) {
		for _, tt := range []struct {
			at   time.Duration
			want State
		}{{1100 * ms, Starting}, {1999 * ms, Starting}, {2001 * ms, Ready}} {
			time.Sleep(tt.at - time.Since(st.begin))
			if got := g.Status()[0]; got.State != tt.want || st.count() != 3 {
				t.Errorf("after %v %d have been started, and it is %v, want 3, %v", tt.at, st.count(), got.State, tt.want)
			}
		}
	})
}

// Changed tells of every change, if it is asked before Status.
func TestChanged(t *testing.T) {
	inBubble(t, Spec{}, 1, obedient(time.Second), func(t *testing.T, g *Group, _ *stage) {
		synctest.Wait()
		changed := g.Changed()
		if got := g.Status()[0].State; got != Starting {
			t.Fatalf("it is %v, want starting", got)
		}
		<-changed
		if got := g.Status()[0].State; got != Ready {
			t.Errorf("after a change it is %v, want ready", got)
		}
	})
}

// That somebody else listens is known by errors.Is, however it was found out.
func TestTakenIsAddressInUse(t *testing.T) {
	at := "unix:" + shortDir(t) + "/s"
	openSocket(t, Socket{Address: at, UID: -1, GID: -1}, nil)
	first := openSocket(t, Socket{Address: "127.0.0.1:0"}, nil)
	for _, address := range []string{at, first.path} {
		if s, err := (Socket{Address: address, UID: -1, GID: -1}).open(nil); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("open %s twice: %v, %v", address, s, err)
		}
	}
}
