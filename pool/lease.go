package pool

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// A Lease is the right to send one request to one worker. Whoever has it must
// release it, once.
type Lease struct {
	w      *Worker
	turn   uint64
	waited time.Duration
}

// Worker returns the worker.
func (l Lease) Worker() *Worker { return l.w }

// Waited returns how long the request has waited for the lease in the queue.
func (l Lease) Waited() time.Duration { return l.waited }

// Release gives the lease back when the exchange has ended. err is what the
// worker did wrong: it cools down. Nil tells that it did well. A
// context.Canceled says nothing about the worker: nobody waited for the answer.
// A worker that takes one request at a time may then still be busy with it, and
// is chosen after all others that have room, until it does well again.
func (l Lease) Release(err error) {
	said := verdict(err)
	w := l.w
	p := w.pool
	p.mu.Lock()
	if w.load.Add(-1) < 0 {
		w.load.Store(0)
		p.mu.Unlock()
		panic("pool: lease released twice")
	}
	w.served++
	if said == good && l.turn > w.born {
		w.well++
	}
	var line *failure
	if said != good || w.doubt || w.health.failures > 0 {
		line = p.judge(l, said, err)
	}
	switch {
	case !w.gone:
		p.gauge.busy--
	case w.load.Load() == 0:
		p.forget(w)
	}
	if p.queue.n > 0 {
		p.dispatch(p.now())
	}
	p.mu.Unlock()
	if line != nil {
		line.log(p.config.Log)
	}
}

// judge draws the conclusions from a lease for its worker, and returns what is
// to be logged when the mutex is free.
func (p *Pool) judge(l Lease, said opinion, err error) *failure {
	w := l.w
	if said == none {
		w.givenUp++
	}
	if l.turn <= w.born {
		return nil // it speaks of a process before the worker's present one
	}
	w.doubt = w.max.Load() == 1 && (said == none || w.doubt && said != good)
	switch said {
	case bad:
		return p.fail(w, err)
	case good:
		w.health = health{}
	}
	return nil
}

// What a lease says about its worker.
type opinion int

const (
	good opinion = iota
	bad
	none
)

func verdict(err error) opinion {
	switch {
	case err == nil:
		return good
	case errors.Is(err, context.Canceled):
		return none
	}
	return bad
}

// give makes a lease of a worker that has room.
func (p *Pool) give(w *Worker) Lease {
	p.turn++
	w.used = p.turn
	w.load.Add(1)
	p.gauge.busy++
	if p.gauge.wear.most > 0 {
		p.gauge.wear.note(w)
	}
	return Lease{w: w, turn: p.turn}
}

// fail notes that a worker has failed, and returns what is to be logged when
// the mutex is free: a log may be slow.
func (p *Pool) fail(w *Worker, err error) *failure {
	now := time.Now()
	w.failed++
	w.cause = err
	w.health = w.health.failed(p.config.Cooldown, now)
	if w.health.until.After(p.calm) {
		p.calm = w.health.until
	}
	if now.Sub(w.logged) < logPause {
		w.silent++
		return nil
	}
	line := &failure{
		backend: p.config.Name, worker: w, err: err,
		load: w.Load(), row: w.health.failures, silent: w.silent,
	}
	if w.health.failures > 0 {
		line.pause = w.health.until.Sub(now)
	}
	w.logged, w.silent = now, 0
	return line
}

// A failure is a line for the log.
type failure struct {
	backend           string
	worker            *Worker
	err               error
	load, row, silent int
	pause             time.Duration
}

func (f *failure) log(to *slog.Logger) {
	text := "worker cooling down"
	if f.pause == 0 {
		text = "worker failed"
	}
	to.LogAttrs(context.Background(), slog.LevelWarn, text,
		slog.String("backend", f.backend),
		slog.String("worker", f.worker.String()),
		slog.Int("load", f.load),
		slog.Duration("for", f.pause),
		slog.Int("failures", f.row),
		slog.Int("not_logged", f.silent),
		slog.Any("err", f.err))
}
