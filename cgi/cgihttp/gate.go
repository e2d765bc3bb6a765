package cgihttp

import "sync"

// A gate stands before what belongs to the server and is lent to one call of a
// handler. Goroutines that the handler left behind may come at any time; once
// the gate is shut, nobody gets in any more, and nobody is inside.
type gate struct{ mu sync.RWMutex }

// enter reports whether the caller may use what is behind the gate, until it
// calls leave. It never waits, so whoever is inside may enter once more. It
// fails only when shut has been called, as nothing else takes the write lock.
func (g *gate) enter() bool { return g.mu.TryRLock() }

func (g *gate) leave() { g.mu.RUnlock() }

// shut waits for those inside. It is called once; the lock is kept for good.
func (g *gate) shut() { g.mu.Lock() }
