package main

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/scale"
	"github.com/sluice-gateway/sluice/pool"
)

// queued are the rules whose requests wait in one queue until a process is
// idle.
type queued struct{}

func (queued) free(w *world, _ *proc) { w.dispatch(1) }

func (queued) arrive(w *world, r *request) {
	w.queue = append(w.queue, r)
	w.dispatch(1)
}

// sluice is Sluice's rule, the very code that the gateway runs.
type sluice struct {
	scale *scale.Scale
	most  int // requests that a process is given at a time
	want  int
	ready int
	alarm int
	again int // numbers the timers: only the last one counts
}

// noon stands for the beginning: Scale wants points in time.
var noon = time.Date(2000, 1, 1, 12, 0, 0, 0, time.UTC)

func (s *sluice) begin(w *world) {
	rule := scale.Rule{Min: w.limits.min, Max: w.limits.max, Spare: w.limits.spare, Per: 1, Idle: w.limits.idle}
	if s.most = 1; w.limits.unsaid {
		rule.Per, s.most = 0, pool.DefaultMaxLoad
	}
	s.scale = scale.New(rule, rule.Floor(), noon)
	for s.want = rule.Floor(); len(w.procs) < s.want; {
		w.spawn()
	}
	s.look(w)
}

func (s *sluice) arrive(w *world, r *request) {
	w.queue = append(w.queue, r)
	w.dispatch(s.most)
	if len(w.queue) == 1 || w.busy > s.alarm {
		s.look(w)
	}
}

func (s *sluice) free(w *world, p *proc) {
	w.dispatch(s.most)
	if w.ready() != s.ready {
		s.look(w)
	}
	s.shrink(w)
}

// look does what the gateway's scaler does.
func (s *sluice) look(w *world) {
	s.ready = w.ready()
	l := scale.Load{Busy: w.busy, Peak: w.peak, Queued: len(w.queue), Ended: w.ended, Ready: s.ready}
	if l.Queued > 0 {
		l.Longest = w.now - w.queue[0].came
	}
	w.peak = w.busy
	a := s.scale.Look(noon.Add(w.now), l)
	s.want, s.alarm = a.Want, a.Alarm
	for len(w.procs) < s.want {
		w.spawn()
	}
	s.shrink(w)
	s.again++
	if this := s.again; a.Again > 0 {
		w.after(a.Again, func() {
			if this == s.again {
				s.look(w)
			}
		})
	}
}

func (s *sluice) shrink(w *world) {
	for len(w.procs) > s.want {
		p := w.longestIdle()
		if p == nil {
			return
		}
		s.ready--
		w.end(p)
	}
}

// lighttpd is that of lighttpd 1.4 (src/gw_backend.c) with max-load-per-proc 1.
// A request goes to the process with the least load at once, and waits there.
type lighttpd struct{}

func (lighttpd) begin(w *world) {
	for len(w.procs) < w.limits.min {
		w.spawn()
	}
	w.every(time.Second, func() { lighttpd{}.look(w) })
}

func (lighttpd) arrive(w *world, r *request) {
	if len(w.procs) == 0 {
		w.spawn()
	}
	least := w.procs[0]
	for _, p := range w.procs {
		if p.load() < least.load() {
			least = p
		}
	}
	w.give(least, r)
}

func (lighttpd) free(*world, *proc) {}

// look: one more if the load of every process is above max-load-per-proc; one
// less if one has been idle for too long.
func (lighttpd) look(w *world) {
	overload := len(w.procs) > 0 && len(w.procs) < w.limits.max
	for _, p := range w.procs {
		overload = overload && p.load() > 1
	}
	if overload {
		w.spawn()
	}
	if p := w.longestIdle(); p != nil && len(w.procs) > w.limits.min && w.now-p.idleSince > w.limits.idle {
		w.end(p)
	}
}

// dynamic is php-fpm's pm = dynamic (sapi/fpm/fpm/fpm_process_ctl.c): once a
// second as many as are missing to min_spare, at most 1, 2, 4 ... 32; or one
// less than there are if more than max_spare are idle.
type dynamic struct {
	queued
	rate int
}

const maxSpare = 4

func (d *dynamic) begin(w *world) {
	for len(w.procs) < max(w.limits.min, 1) {
		w.spawn()
	}
	d.rate = 1
	w.every(time.Second, func() { d.look(w) })
}

func (d *dynamic) look(w *world) {
	ready := w.ready()
	spare, idle := max(w.limits.spare, 1), ready-w.busy // php-fpm refuses min_spare = 0
	switch {
	case idle > max(maxSpare, spare):
		w.end(w.longestIdle())
		d.rate = 1
	case idle < spare:
		for range min(d.rate, spare-idle, w.limits.max-len(w.procs)) {
			w.spawn()
		}
		d.rate = min(2*d.rate, 32)
	default:
		d.rate = 1
	}
}

// ondemand is php-fpm's pm = ondemand: a process for each request that finds
// none idle; once a second one is ended that was idle for too long.
type ondemand struct{ queued }

func (ondemand) begin(w *world) {
	w.every(time.Second, func() {
		if p := w.longestIdle(); p != nil && w.now-p.idleSince > w.limits.idle {
			w.end(p)
		}
	})
}

func (o ondemand) arrive(w *world, r *request) {
	o.queued.arrive(w, r)
	if len(w.queue) > 0 && len(w.procs) < w.limits.max {
		w.spawn()
	}
}
