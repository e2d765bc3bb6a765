package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/internal/address"
)

// A Group is the processes of one backend and their sockets. It is safe for
// concurrent use.
type Group struct {
	spec   Spec
	slots  []*slot
	thread *thread
	runs   sync.WaitGroup // the goroutines of the slots
	loops  atomic.Int32   // slots in a crash loop

	stop, kill       chan struct{} // closed by Stop
	endStop, endKill func()        // close them, once
	release          func() error  // what is held besides, once
	launch           func(*slot) (*child, *startError)

	mu      sync.Mutex
	started bool
	views   []view        // by slot
	changed chan struct{} // closed, and replaced, when the members change
}

// A Member is a process that takes requests.
type Member struct {
	Slot, PID        int
	Network, Address string // as for net.Dial
}

// String returns the member's address.
func (m Member) String() string {
	return address.Address{Network: m.Network, Address: m.Address}.String()
}

// A Status says how it is with one slot.
type Status struct {
	Slot     int
	PID      int // 0 if there is no process
	State    State
	Since    time.Time // when it came into State
	Restarts int
	Deaths   int      // in a row
	Last     *Exit    // how the last process ended; nil if none did
	Output   []string // the last lines of the process that runs
}

// NewGroup returns a group of as many processes as there are slots, none of
// them started, and holds their sockets in the folder dir. It makes the folder,
// open to us alone, or takes one that is there if nobody else can write to it;
// the parent must exist. A group whose processes listen BySelf has one slot, and
// needs no folder. Stop gives back what the group holds, also if it was never
// started.
func NewGroup(spec Spec, slots int, dir string) (*Group, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	if spec.Name == "" {
		spec.Name = filepath.Base(spec.Args[0])
	}
	if slots < 1 || slots > 1 && spec.Listen == BySelf {
		return nil, spec.failed(fmt.Errorf("%d processes: want 1 of those that listen by themselves, of others 1 or more", slots))
	}
	g := &Group{spec: spec, stop: make(chan struct{}), kill: make(chan struct{}), changed: make(chan struct{}),
		views: make([]view, slots), thread: newThread()}
	g.endStop = sync.OnceFunc(func() { close(g.stop) })
	g.endKill = sync.OnceFunc(func() { close(g.kill) })
	g.release = sync.OnceValue(g.releaseAll)
	g.launch = func(s *slot) (*child, *startError) { return launch(s.spec, g.thread, s.sock, s.log) }
	for n := range slots {
		s, err := g.newSlot(n, dir)
		if err != nil {
			g.release()
			return nil, g.spec.failed(err)
		}
		g.slots = append(g.slots, s)
		g.views[n] = s.view
	}
	return g, nil
}

// newSlot returns slot n, with its socket.
func (g *Group) newSlot(n int, dir string) (*slot, error) {
	s := &slot{n: n, spec: &g.spec, stop: g.stop, kill: g.kill,
		log: g.spec.log().With(slog.String("backend", g.spec.Name), slog.Int("slot", n))}
	s.view = view{Status: Status{Slot: n, State: Down, Since: time.Now()}}
	s.launch = func() (*child, *startError) { return g.launch(s) }
	s.publish = func(v view) { g.publish(s, v) }
	s.looping = g.looping
	if g.spec.Listen == BySelf {
		return s, nil
	}
	if err := privateDir(dir); err != nil {
		return nil, err
	}
	var err error
	s.sock, err = listen(dir, g.spec.Name, n, g.spec.Credential)
	return s, err
}

// Start starts the processes, and goes on doing so when they end, until Stop.
// It does not wait for them; Watch tells when they are ready.
func (g *Group) Start() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.stop:
		return g.spec.failed(errors.New("the group has been stopped"))
	default:
	}
	if g.started {
		return g.spec.failed(errors.New("the group has been started already"))
	}
	g.started = true
	for _, s := range g.slots {
		g.runs.Go(s.run)
	}
	return nil
}

// Watch calls set with the processes that take requests, in the order of their
// slots: at once, and whenever they have changed, until ctx is done. It
// returns ctx's error.
func (g *Group) Watch(ctx context.Context, set func([]Member)) error {
	for {
		members, changed := g.members()
		set(members)
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Status says how it is with each slot.
func (g *Group) Status() []Status {
	g.mu.Lock()
	views := slices.Clone(g.views)
	g.mu.Unlock()
	all := make([]Status, len(views))
	for i, v := range views {
		if all[i] = v.Status; v.output != nil {
			all[i].Output = v.output()
		}
	}
	return all
}

// Stop ends the processes: each gets the stop signal; those that have not ended
// after the stop timeout, or when ctx is done, get SIGKILL, and so does
// everything else in their process groups. It returns when all are gone and
// their sockets are removed. It may be called more than once.
func (g *Group) Stop(ctx context.Context) error {
	g.mu.Lock()
	g.endStop()
	g.mu.Unlock()
	defer context.AfterFunc(ctx, g.endKill)()
	g.runs.Wait()
	return g.release()
}

// releaseAll gives back what is held when no process is left.
func (g *Group) releaseAll() error {
	g.thread.close()
	var errs []error
	for _, s := range g.slots {
		switch at := g.spec.listens(); {
		case s.sock != nil:
			errs = append(errs, s.sock.close())
		case g.started && at.Network == "unix":
			removeStale(at.Address, g.spec.Credential) // if it left one
		}
	}
	return errors.Join(errs...)
}

// publish takes note of what a slot has become.
func (g *Group) publish(s *slot, v view) {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.views[s.n]
	g.views[s.n] = v
	if (was.State == Ready) != (v.State == Ready) {
		close(g.changed)
		g.changed = make(chan struct{})
	}
}

// members returns the processes that take requests, and what is closed when
// they change.
func (g *Group) members() ([]Member, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ready []Member
	for i, v := range g.views {
		if v.State == Ready {
			ready = append(ready, g.slots[i].member(v.PID))
		}
	}
	return ready, g.changed
}

// looping counts the slots in a crash loop and returns how many there are.
func (g *Group) looping(is bool) int {
	if is {
		return int(g.loops.Add(1))
	}
	return int(g.loops.Add(-1))
}
