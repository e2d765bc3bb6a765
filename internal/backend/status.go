package backend

import (
	"github.com/sluice-gateway/sluice/pool"
	"github.com/sluice-gateway/sluice/process"
)

// A Status is how it is with a backend.
type Status struct {
	Pool pool.Status

	// If Sluice runs the application.
	Processes []process.Status // in the order of their slots
	Members   []process.Member // those that take requests, and which worker each is
}

// Status says how it is with the backend. The pool may not have heard yet what
// has become of a process.
func (b *Backend) Status() Status {
	s := Status{Pool: b.pool.Status()}
	if !b.Foreign() {
		s.Processes = b.group.Status()
		s.Members = b.recycler.current()
	}
	return s
}
