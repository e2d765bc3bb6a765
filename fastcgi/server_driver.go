package fastcgi

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/internal/accept"
)

// A driver is the role of the goroutine that reads a connection. To wake
// another goroutine for each request would cost more than most handlers do, so
// the driver runs them itself, in line. It must not stay in one that takes its
// time: then the role passes to a new goroutine, which goes on where this one
// stopped. That happens when the handler waits for its body, or when the
// watchman has seen the same run twice.
type driver struct {
	run atomic.Uint64 // number of the run in line under way; 0 if there is none

	// Of the goroutine that drives.
	runs    uint64    // so far
	spawns  int       // requests that get a goroutine of their own at once
	penalty int       // how many that are after the next handler that takes its time
	good    int       // runs since the last one that did
	began   time.Time // the first run since the last read, if several requests may come at a time
	batch   int       // runs since then

	seen uint64 // the run that the watchman saw last; his
}

// The first handler that takes its time costs the other requests on its
// connection a wait of some milliseconds; the next ones after it do not run in
// line, more of them each time.
const (
	minPenalty = 32
	maxPenalty = 4096

	// goodRuns in line without one that takes its time end the penalty.
	goodRuns = 100

	// fairRun is what a handler may take, on average, that runs in line while
	// others wait behind it: about what it costs to wake another goroutine,
	// and perhaps another core.
	fairRun = 50 * time.Microsecond
)

var errPassed = errPassedType{}

// errPassedType tells a driver that it is none any more.
type errPassedType struct{}

func (errPassedType) Error() string { return "fastcgi: another goroutine drives the connection" }

// run runs the handler of q, and reports whether this goroutine still drives.
func (c *serverConn) run(q *serverRequest) (drives bool) {
	d := &c.driver
	if d.spawns > 0 {
		d.spawns--
		c.spawn(q)
		return true
	}
	c.start(q)
	d.runs++
	if d.good++; d.good == goodRuns {
		d.penalty = 0
	}
	if c.muxed.Load() {
		if d.batch++; d.batch == 1 {
			d.began = time.Now()
		}
	}
	run := d.runs
	q.run = run
	d.run.Store(run)
	c.server.watch.start(c.server)
	defer func() {
		drives = d.run.CompareAndSwap(run, 0)
		switch {
		case !drives:
			c.leave()
		case q.exited: // and with it this goroutine
			go c.drive()
		default:
			q.free()
		}
	}()
	q.serve()
	return true
}

// fed is called when all that has been read is decoded. Handlers that do not
// wait, but work for long, should have the other cores.
func (d *driver) fed() {
	if d.batch > 1 && time.Since(d.began) > time.Duration(d.batch)*fairRun {
		d.punish()
	}
	d.batch = 0
}

// punish makes the next requests run in goroutines of their own.
func (d *driver) punish() {
	d.penalty = min(max(2*d.penalty, minPenalty), maxPenalty)
	d.spawns, d.good, d.batch = d.penalty, 0, 0
}

// spawn runs the handler of q in a goroutine of its own, which the connection
// waits for.
func (c *serverConn) spawn(q *serverRequest) {
	c.start(q)
	c.handlers.add(1)
	go func() {
		defer c.leave()
		q.serve()
	}()
}

// leave is the end of a goroutine that has run a handler and does not drive.
func (c *serverConn) leave() {
	c.out.flush() // an error closes the connection, which is all there is to do
	c.settle()
	c.handlers.add(-1)
}

// pass passes the role of a driver that is in a run to a new goroutine, if it
// still is in it.
func (c *serverConn) pass(run uint64) {
	c.handlers.add(1)
	if run == 0 || !c.driver.run.CompareAndSwap(run, 0) {
		c.handlers.add(-1)
		return
	}
	if c.muxed.Load() {
		c.driver.punish()
	}
	go func() {
		c.out.flush() // the replies that were to leave together with the one under way
		c.drive()
	}()
}

// A watchman looks every millisecond for handlers that take their time. He is
// there only while handlers run in line.
type watchman struct {
	on atomic.Bool

	mu    sync.Mutex
	ended chan struct{} // closed when the last one has gone; nil if there never was one
}

const (
	watchTick = time.Millisecond
	watchIdle = 20 // ticks without a run until the watchman goes
)

// start makes sure that there is a watchman.
func (w *watchman) start(s *Server) {
	if w.on.Load() || !w.on.CompareAndSwap(false, true) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	last, ended := w.ended, make(chan struct{})
	w.ended = ended
	go func() {
		defer close(ended)
		if last != nil {
			<-last
		}
		w.watch(s)
	}()
}

func (w *watchman) watch(s *Server) {
	drained := s.loop.Drained()
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	for {
		for idle := 0; idle < watchIdle; idle++ {
			select {
			case <-tick.C:
			case <-drained:
			}
			running, conns := w.look(s)
			if running {
				idle = 0
			}
			if conns == 0 {
				break
			}
		}
		w.on.Store(false)
		// A run may have begun that still saw a watchman.
		if running, _ := w.look(s); !running || !w.on.CompareAndSwap(false, true) {
			return
		}
	}
}

// look looks at all connections.
func (w *watchman) look(s *Server) (running bool, conns int) {
	s.loop.Each(func(conn accept.Conn) {
		conns++
		c := conn.(*serverConn)
		run := c.driver.run.Load()
		if run != 0 {
			running = true
			if run == c.driver.seen {
				c.pass(run)
			}
		}
		c.driver.seen = run
	})
	return running, conns
}

// wait waits for the watchman to end, when there are no connections any more.
func (w *watchman) wait() {
	w.mu.Lock()
	ended := w.ended
	w.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

// A counter counts goroutines, so that their owner can wait for them. Unlike a
// sync.WaitGroup it may be counted up while somebody waits.
type counter struct {
	mu   sync.Mutex
	zero sync.Cond
	n    int
}

func (c *counter) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n += n; c.n == 0 && c.zero.L != nil {
		c.zero.Broadcast()
	}
}

func (c *counter) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.zero.L = &c.mu
	for c.n > 0 {
		c.zero.Wait()
	}
}
