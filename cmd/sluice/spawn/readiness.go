package spawn

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/dial"
	"github.com/sluice-gateway/sluice/process"
)

const (
	// provedAfter is how long a new process must have run before an old one
	// ends for it: those that miss their database or a module mostly die within
	// a second. Nobody connects to those of --no-ping, so for them it is all
	// that there is.
	provedAfter = time.Second

	// lately is how long ago somebody must have accepted a connection for
	// exit status 0 to mean that a process has served what it was to serve.
	lately = 10 * time.Second
)

// A readiness finds out whether processes take requests.
//
// They share a socket, so one that is starting cannot be told from the others
// by a connection: the first one that reacts shows how long a start takes, and
// later ones are taken for ready when they have run for twice as long, but not
// before provedAfter once there are old ones to lose.
type readiness struct {
	patience time.Duration // for the first reaction
	ask      bool          // else nobody connects
	alone    bool          // there is one process, so the one that reacts is known

	mu       sync.Mutex
	where    [2]string     // network and address of the socket
	first    time.Duration // until the first reaction; 0: there was none yet
	accepted time.Time     // of the latest connection that somebody accepted
	mute     bool          // a process did not react in time, and none has
	isUp     bool          // the application has been up
}

// ping waits until somebody reacts, or should have. Its error is that of ctx,
// which is done when the process has died.
func (r *readiness) ping(ctx context.Context, network, at string) error {
	r.mu.Lock()
	r.where = [2]string{network, at}
	r.mu.Unlock()
	if r.ask {
		r.see(ctx, network, at, r.patience)
	}
	return ctx.Err()
}

// see connects, and takes note of the reaction, or that there was none within
// the time.
func (r *readiness) see(ctx context.Context, network, at string, within time.Duration) (waited time.Duration, reacted bool) {
	start := time.Now()
	reacted = reacts(ctx, network, at, within)
	waited = max(time.Since(start), 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if reacted {
		r.accepted = time.Now()
	}
	switch {
	case reacted && r.mute: // after all: a start takes longer than was waited for
		r.mute, r.first = false, r.patience
	case reacted && r.first == 0:
		r.first = waited
	case !reacted && r.first == 0 && ctx.Err() == nil:
		r.mute = true
	}
	return waited, reacted
}

// trial is the Length of process.Trial.
func (r *readiness) trial() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	twice := min(2*r.first, r.patience)
	switch {
	case r.isUp || !r.ask:
		return max(twice, provedAfter)
	case r.alone:
		return 0
	}
	return twice + pauseMin
}

// finished is that of process.Trial. An application that nobody can reach has
// served nobody, whatever its exit status says.
func (r *readiness) finished(exit process.Exit) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ask {
		return r.isUp
	}
	return !r.accepted.IsZero() && exit.At.Sub(r.accepted) <= max(exit.Ran, lately)
}

// up takes note that the application is up.
func (r *readiness) up() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isUp = true
}

// silent reports whether the application runs, but has never accepted anything.
func (r *readiness) silent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mute
}

// start returns how long a process takes to start; 0 if that is not known yet.
func (r *readiness) start() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first
}

// waited returns how long a connection to the application waits until somebody
// reacts, at most longWait. An application that has never reacted says nothing by
// not reacting now.
func (r *readiness) waited(ctx context.Context) (_ time.Duration, ok bool) {
	if r.start() == 0 && !r.silent() {
		return 0, false // it is not up yet
	}
	r.mu.Lock()
	where := r.where
	r.mu.Unlock()
	wait, reacted := r.see(ctx, where[0], where[1], longWait)
	return wait, reacted || !r.silent() && ctx.Err() == nil
}

// reacts connects, and reports whether the application closes the connection, or
// says something, within the time: then it has accepted it. What it gets is the
// end of a request before its beginning, which is the one thing that all
// applications read alike. FCGI_GET_VALUES would not do: libfcgi goes on reading
// after it, and serves nobody else meanwhile.
func reacts(ctx context.Context, network, at string, within time.Duration) bool {
	asked, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	c, err := dial.Dial(asked, network, at, 0)
	if err != nil {
		<-asked.Done() // we may not connect to it: we cannot know
		return false
	}
	defer c.Close()
	defer context.AfterFunc(asked, func() { c.SetDeadline(time.Unix(1, 0)) })()
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	_, err = c.Read(make([]byte, 1))
	return !errors.Is(err, os.ErrDeadlineExceeded)
}
