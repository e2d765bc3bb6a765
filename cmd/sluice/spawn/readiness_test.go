package spawn

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/testproc"
	"github.com/sluice-gateway/sluice/process"
)

// How long a process must run before it is taken for ready.
func TestReadinessTrial(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name string
		r    *readiness
		want time.Duration
	}{
		{"the only one, at the start", &readiness{ask: true, alone: true, patience: time.Second, first: 30 * ms}, 0},
		{"one of several, at the start", &readiness{ask: true, patience: time.Second, first: 30 * ms}, 60*ms + pauseMin},
		{"none has reacted", &readiness{ask: true, patience: time.Second}, pauseMin},
		{"later", &readiness{ask: true, isUp: true, alone: true, patience: 10 * time.Second, first: 30 * ms}, provedAfter},
		{"later, and it starts slowly", &readiness{ask: true, isUp: true, patience: 10 * time.Second, first: 3 * time.Second}, 6 * time.Second},
		{"later, and it starts very slowly", &readiness{ask: true, isUp: true, patience: 4 * time.Second, first: 3 * time.Second}, 4 * time.Second},
		{"nobody connects", &readiness{alone: true, patience: time.Second}, provedAfter},
	} {
		if got := tt.r.trial(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Exit status 0 is the end of a process that has done its share if connections
// are accepted.
func TestReadinessFinished(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name string
		r    *readiness
		ran  time.Duration
		want bool
	}{
		{"nobody has accepted anything", &readiness{ask: true}, time.Minute, false},
		{"somebody has", &readiness{ask: true, accepted: now.Add(-time.Second)}, time.Millisecond, true},
		{"somebody has long ago", &readiness{ask: true, accepted: now.Add(-2 * lately)}, time.Millisecond, false},
		{"somebody has in its time", &readiness{ask: true, accepted: now.Add(-2 * lately)}, 3 * lately, true},
		{"nobody connects, and it was never up", &readiness{}, time.Millisecond, false},
		{"nobody connects, and it was up", &readiness{isUp: true}, time.Millisecond, true},
	} {
		if got := tt.r.finished(process.Exit{At: now, Ran: tt.ran}); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// An application that does not accept connections is silent until it does, and
// one that has accepted some is busy at the worst.
func TestReadinessSilence(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(testproc.ShortDir(t), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx := context.Background()
	r := &readiness{ask: true, patience: 20 * time.Millisecond}
	if _, ok := r.waited(ctx); ok {
		t.Error("what nobody has been asked says something")
	}
	if err := r.ping(ctx, "unix", l.Addr().String()); err != nil || !r.silent() || r.start() != 0 {
		t.Errorf("nobody accepts: %v, silent %v, a start takes %v", err, r.silent(), r.start())
	}
	if _, ok := r.waited(ctx); ok {
		t.Error("the silence of one that was never heard says something")
	}
	closing := make(chan struct{})
	go func() { // ends when l is closed
		defer close(closing)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	if wait, ok := r.waited(ctx); !ok || wait >= longWait || r.silent() || r.start() != r.patience {
		t.Errorf("it accepts: %v, %v, silent %v, a start takes %v, want %v", wait, ok, r.silent(), r.start(), r.patience)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	<-closing
	// A process that does not react in time, when others have, says nothing of
	// the application; and no reaction is a long wait now.
	if err := r.ping(ctx, "unix", l.Addr().String()); err != nil || r.silent() {
		t.Errorf("one does not react later: %v, silent %v", err, r.silent())
	}
	if wait, ok := r.waited(ctx); !ok || wait < longWait {
		t.Errorf("nobody reacts later: %v, %v, want %v", wait, ok, longWait)
	}
}

// How long connections wait is measured while new processes are asked.
func TestReadinessOfSeveral(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(testproc.ShortDir(t), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := &readiness{ask: true, patience: time.Millisecond}
	if err := r.ping(t.Context(), "unix", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() { r.waited(ctx) })
	both.Go(func() {
		for range 5 {
			r.ping(t.Context(), "unix", l.Addr().String())
		}
	})
	both.Wait()
}
