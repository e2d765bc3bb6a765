package backend

import (
	"context"
	"slices"

	"github.com/sluice-gateway/sluice/pool"
	"github.com/sluice-gateway/sluice/process"
)

// A groupSource tells the pool of a backend, its recycler and its client where
// the processes are that are ready, and what to expect when none is.
type groupSource struct{ *Backend }

var _ pool.Source = groupSource{}

// Watch implements pool.Source.
func (s groupSource) Watch(ctx context.Context, set func([]pool.Endpoint)) error {
	var before []process.Member
	return s.group.Watch(ctx, func(members []process.Member, next process.Outlook) {
		for _, m := range before {
			if !slices.Contains(members, m) {
				s.client.Forget(m.Network, m.Address)
			}
		}
		before = members
		s.recycler.set(members)
		list := make([]pool.Endpoint, 0, len(members))
		for _, m := range members {
			list = append(list, whereIs(m))
		}
		set(list)
		s.pool.Expect(outlook(next))
	})
}

// whereIs returns the worker that a process is.
func whereIs(m process.Member) pool.Endpoint {
	return pool.Endpoint{Network: m.Network, Address: m.Address}
}
