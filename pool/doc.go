// Package pool hands each request a worker.
//
// A [Pool] knows the workers of one backend from a [Source], counts what each
// of them serves, makes requests wait when all are busy, and remembers which
// ones hurt. A request gets a [Lease] with Acquire, talks to the lease's
// worker, and gives the lease back with what it learnt:
//
//	var tried pool.Tried
//	lease, err := p.Acquire(ctx, key, &tried)
//	if err != nil {
//		return err
//	}
//	err = exchange(lease.Worker())
//	lease.Release(err)
//
// The package knows no protocol and no process, opens no socket, and never
// measures a worker by itself.
package pool
