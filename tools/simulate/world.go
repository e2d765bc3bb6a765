package main

import (
	"container/heap"
	"slices"
	"time"
)

// A world is one backend on virtual time: requests that come, processes that
// serve some of them at a time, and a rule that starts and ends processes.
type world struct {
	now    time.Duration
	due    events
	asked  int // events, ever
	rule   rule
	limits limits
	start  time.Duration // how long a process takes to start
	takes  int           // how many requests one serves at a time

	procs  []*proc
	queue  []*request // of a rule that has one
	busy   int        // requests that processes have been given
	peak   int        // the most that busy has been, for the rule to look at and to put back
	ended  uint64
	record record
}

// limits are what every rule has to keep to.
type limits struct {
	min, max, spare int
	idle            time.Duration
	unsaid          bool // how many requests a process takes at a time
}

type proc struct {
	ready     bool
	serves    int
	backlog   []*request // given to it, and not served yet
	idleSince time.Duration
}

func (p *proc) load() int  { return p.serves + len(p.backlog) }
func (p *proc) idle() bool { return p.ready && p.load() == 0 }

type request struct {
	came    time.Duration
	service time.Duration
	then    func() // of a client who waits for the answer; may be nil
}

// A rule says how many processes there are and who serves whom.
type rule interface {
	begin(w *world)
	arrive(w *world, r *request)
	free(w *world, p *proc) // p is ready, or done
}

// run lets time pass.
func (w *world) run(until time.Duration) {
	w.rule.begin(w)
	for len(w.due) > 0 && w.due[0].at <= until {
		e := heap.Pop(&w.due).(event)
		w.now = e.at
		e.do()
	}
	w.now = until
	w.note()
}

// after does something later.
func (w *world) after(d time.Duration, do func()) {
	w.asked++
	heap.Push(&w.due, event{w.now + d, w.asked, do})
}

func (w *world) every(d time.Duration, do func()) {
	w.after(d, func() { do(); w.every(d, do) })
}

// spawn starts a process.
func (w *world) spawn() *proc {
	p := &proc{idleSince: w.now + w.start}
	w.procs = append(w.procs, p)
	w.record.started++
	w.note()
	w.after(w.start, func() {
		p.ready = true
		w.note()
		w.work(p)
		w.rule.free(w, p)
	})
	return p
}

// end ends a process that is idle.
func (w *world) end(p *proc) {
	w.procs = slices.DeleteFunc(w.procs, func(q *proc) bool { return p == q })
	w.note()
}

// give gives a process a request, which waits there if it has enough to do.
func (w *world) give(p *proc, r *request) {
	p.backlog = append(p.backlog, r)
	w.busy++
	w.peak = max(w.peak, w.busy)
	w.work(p)
}

// work serves what a process has been given, as much at a time as it can.
func (w *world) work(p *proc) {
	for p.ready && p.serves < w.takes && len(p.backlog) > 0 {
		r := p.backlog[0]
		p.backlog = p.backlog[1:]
		p.serves++
		w.record.waits = append(w.record.waits, wait{r.came, w.now - r.came})
		w.after(r.service, func() {
			p.serves--
			p.idleSince = w.now
			w.busy--
			w.ended++
			if r.then != nil {
				r.then()
			}
			w.work(p)
			w.rule.free(w, p)
		})
	}
}

// ready returns how many processes are.
func (w *world) ready() (n int) {
	for _, p := range w.procs {
		if p.ready {
			n++
		}
	}
	return n
}

// dispatch hands out what waits in the queue: at most so many to one process.
func (w *world) dispatch(most int) {
	for len(w.queue) > 0 {
		p := w.least(most)
		if p == nil {
			return
		}
		r := w.queue[0]
		w.queue = w.queue[1:]
		w.give(p, r)
	}
}

// least returns the process that has the least to do, of those that are ready
// and have less than most; of idle ones the one that worked last, so that the
// others may be ended; nil if there is none.
func (w *world) least(most int) (found *proc) {
	for _, p := range w.procs {
		switch {
		case !p.ready || p.load() >= most:
		case found == nil, p.load() < found.load(), p.load() == found.load() && p.idleSince > found.idleSince:
			found = p
		}
	}
	return found
}

// longestIdle returns the process that has been idle for the longest time; nil
// if none is.
func (w *world) longestIdle() (found *proc) {
	for _, p := range w.procs {
		if p.idle() && (found == nil || p.idleSince < found.idleSince) {
			found = p
		}
	}
	return found
}

// A record is what happened.
type record struct {
	waits   []wait
	steps   []step
	started int
	seconds float64 // that processes have run, all together
}

type wait struct{ came, took time.Duration }

// A step is a change of the number of processes.
type step struct {
	at              time.Duration
	starting, ready int
}

func (w *world) note() {
	if n := len(w.record.steps); n > 0 {
		last := w.record.steps[n-1]
		w.record.seconds += (w.now - last.at).Seconds() * float64(last.starting+last.ready)
	}
	ready := w.ready()
	w.record.steps = append(w.record.steps, step{w.now, len(w.procs) - ready, ready})
}

// An event is something that is due. Those of the same time come in the order
// in which they were asked for.
type event struct {
	at  time.Duration
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}
