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
)

// A Group is the processes of one backend and their sockets. It is safe for
// concurrent use.
type Group struct {
	spec   Spec
	dir    string
	shared *socket // of all slots; nil if each has its own
	thread *thread
	runs   sync.WaitGroup // the goroutines of the slots, and inspect

	stop, kill       chan struct{} // closed by Stop
	endStop, endKill func()        // close them, once
	release          func() error  // what is held besides, once
	launch           func(*slot) (*child, *startError)

	telling chan struct{} // full while a Watch looks and tells

	mu      sync.Mutex
	started bool
	ended   bool // Stop has been called
	want    int
	places  []*place
	ends    map[where]*Exit // how the last process at each address ended
	growing bool            // grow runs
	retry   *time.Timer     // to make a slot that could not be made; nil if there is none
	changed chan struct{}   // closed, and replaced, when something has changed
	rolling chan struct{}   // closed when the restart under way is over; nil if there is none
}

// A place is a slot as its group sees it.
type place struct {
	slot   *slot
	view   view
	retire chan struct{}
	gone   bool // retire is closed
	old    bool // to be retired when another one is ready in its place
	load   int  // what its process has to do, when plan is asked
	proved bool // one of its processes has been ready
	loops  bool // its processes keep dying, and that was said
}

// takes reports whether the place has a process that takes requests.
func (p *place) takes() bool { return p.view.State == Ready && !p.view.Dead && !p.gone }

// NewGroup returns a group of n processes, none of them started, and holds
// their sockets: in the folder dir, unless they share one (Spec.Socket). It makes
// the folder, open to us alone, or takes one that is there if nobody else can
// write to it, or to one above it; the parent must exist. Stop gives back what the
// group holds, also if it was never started.
func NewGroup(spec Spec, n int, dir string) (*Group, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	if spec.Name == "" {
		spec.Name = filepath.Base(spec.Args[0])
	}
	if n < 0 {
		return nil, spec.failed(fmt.Errorf("%d processes: want 0 or more", n))
	}
	g := &Group{spec: spec, dir: dir, want: n, stop: make(chan struct{}), kill: make(chan struct{}), changed: make(chan struct{}), telling: make(chan struct{}, 1), thread: newThread()}
	g.spec.Idle = g.told(spec.Idle)
	g.spec.stopping = new(atomic.Pointer[stopping])
	g.endStop = sync.OnceFunc(func() { close(g.stop) })
	g.endKill = sync.OnceFunc(func() { close(g.kill) })
	g.release = sync.OnceValue(g.releaseAll)
	g.launch = func(s *slot) (*child, *startError) { return launch(s.spec, g.thread, s.sock, s.log) }
	if spec.Socket != (Socket{}) {
		var err error
		if g.shared, err = spec.Socket.open(spec.Credential); err != nil {
			g.release()
			return nil, g.spec.failed(err)
		}
	}
	if err := g.addPlaces(n); err != nil {
		g.release()
		return nil, g.spec.failed(err)
	}
	return g, nil
}

// addPlace makes a slot with a number and a socket. g.mu is held, or nobody else
// knows g.
func (g *Group) addPlace(n int, sock *socket) {
	log := g.spec.log().With(slog.String("backend", g.spec.Name), slog.Int("slot", n))
	s := &slot{n: n, spec: &g.spec, sock: sock, log: log, stop: g.stop, kill: g.kill, hangs: make(chan hang, 1), again: make(chan struct{}, 1)}
	p := &place{slot: s, retire: make(chan struct{})}
	s.retire = p.retire
	s.view = view{Status: Status{Slot: n, State: Down, Since: time.Now()}}
	s.launch = func() (*child, *startError) { return g.launch(s) }
	s.publish = func(v view) { g.publish(p, v) }
	s.looping = func(is bool) bool { return g.looping(p, is) }
	p.view = s.view
	g.places = append(g.places, p)
	if g.started {
		g.run(p)
	}
}

// run starts the goroutine of a slot, which Stop waits for.
func (g *Group) run(p *place) {
	g.runs.Go(func() {
		p.slot.run()
		g.vacated(p)
	})
}

// Start starts the processes, and goes on doing so when they end, until Stop.
// It does not wait for them; Watch tells when they are ready.
func (g *Group) Start() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.ended:
		return g.spec.failed(errors.New("the group has been stopped"))
	case g.started:
		return g.spec.failed(errors.New("the group has been started already"))
	}
	g.started = true
	for _, p := range g.places {
		g.run(p)
	}
	if g.spec.MaxAge > 0 || g.spec.MaxMemory > 0 {
		g.runs.Go(g.inspect)
	}
	return nil
}

// Want says how many processes there shall be from now on. Processes that are
// too many get no further requests, and end when they have finished what they
// have.
func (g *Group) Want(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.want = max(n, 0)
	g.settle()
}

// Wanted returns how many processes there shall be. There may be more, while some
// are being replaced.
func (g *Group) Wanted() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.want
}

// settle makes and retires slots as plan says. g.mu is held.
func (g *Group) settle() {
	if g.ended {
		return
	}
	g.askLoads()
	add, retire := plan(g.places, g.want)
	for _, p := range retire {
		p.gone = true
		close(p.retire)
		if !g.started {
			g.remove(p)
		}
	}
	if add > 0 {
		g.grow(add)
	}
}

// askLoads finds out what the processes have to do, if plan will have to choose
// among them. g.mu is held.
func (g *Group) askLoads() {
	if g.spec.Load == nil || !surplus(g.places, g.want) {
		return
	}
	for _, p := range g.places {
		if p.takes() {
			p.load = g.spec.Load(p.slot.member(p.view.PID))
		}
	}
}

// vacated is called when a slot has come to its end.
func (g *Group) vacated(p *place) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return // Status goes on telling of it
	}
	g.remove(p)
	g.settle()
}

// Stop ends the processes: each gets the stop signal, and when it has ended, so
// does what is left of its process group. What has not ended after the stop
// timeout, or when ctx is done, gets SIGKILL. Stop returns when all are gone and
// their sockets are removed. It may be called more than once.
func (g *Group) Stop(ctx context.Context) error {
	g.mu.Lock()
	g.ended = true
	if g.retry != nil {
		g.retry.Stop()
	}
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
	for _, p := range g.places {
		errs = append(errs, g.giveBack(p))
	}
	if g.shared != nil {
		errs = append(errs, g.shared.close())
	}
	return errors.Join(errs...)
}

// remove forgets a slot that has ended. g.mu is held.
func (g *Group) remove(p *place) {
	for i := range g.places {
		if g.places[i] == p {
			g.places = append(g.places[:i:i], g.places[i+1:]...)
			break
		}
	}
	if err := g.giveBack(p); err != nil {
		p.slot.log.Warn("socket left behind", slog.Any("err", err))
	}
	g.notify()
}

// giveBack gives back what a slot holds.
func (g *Group) giveBack(p *place) error {
	if g.shared != nil {
		return nil
	}
	return p.slot.sock.close()
}

// looping takes note of whether the processes of a slot keep dying, and reports
// whether those of others do.
func (g *Group) looping(p *place, is bool) (others bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.loops = is
	return slices.ContainsFunc(g.places, func(other *place) bool { return other != p && other.loops && !other.gone })
}
