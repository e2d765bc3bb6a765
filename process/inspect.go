package process

import (
	"fmt"
	"time"
)

// inspect replaces processes that are too old or too large, one after the
// other, until the group ends.
func (g *Group) inspect() {
	tick := time.NewTicker(inspectEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-g.stop:
			return
		}
		var resident map[int]int64
		if g.spec.MaxMemory > 0 {
			resident = residentByGroup()
		}
		if pid, why := g.tooMuch(time.Now(), resident); pid != 0 {
			g.Replace(pid, why)
		}
	}
}

// tooMuch returns the process that has most to be replaced, and why; 0 if there
// is none, or another is being replaced: the successor needs room, and all of
// them together a time of their own.
func (g *Group) tooMuch(now time.Time, resident map[int]int64) (pid int, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	most := 1.0
	for _, p := range g.places {
		if p.old && !p.gone {
			return 0, ""
		}
		if !p.takes() {
			continue
		}
		if by, reason := g.spec.excess(p.view.PID, now.Sub(p.view.Started), resident[p.view.PID]); by > most {
			most, pid, why = by, p.view.PID, reason
		}
	}
	return pid, why
}

// excess returns how many times over its limit a process is, and which.
func (s *Spec) excess(pid int, age time.Duration, resident int64) (by float64, why string) {
	if s.MaxMemory > 0 {
		by = float64(resident) / float64(s.MaxMemory)
		why = fmt.Sprintf("it has %d MiB of resident memory, and may have %d", resident>>20, s.MaxMemory>>20)
	}
	if s.MaxAge > 0 {
		if of := float64(age) / float64(s.lifetime(pid)); of > by {
			by, why = of, fmt.Sprintf("it is %v old", age.Round(time.Second))
		}
	}
	return by, why
}

// lifetime returns how old a process may become: up to a tenth less than
// MaxAge, so that those which were started together do not end together.
func (s *Spec) lifetime(pid int) time.Duration {
	return s.MaxAge - s.MaxAge/10*time.Duration(pid*7%10)/10
}
