package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/pool"
)

// exchange asks up to maxAttempts workers, besides some that are not to blame the
// request for anything, and passes the answer on. It returns the target of a
// local redirect.
func (t *turn) exchange(b *Backend) (again string, no *refusal) {
	var tried pool.Tried
	var last *refusal
	var since time.Time // of an attempt that is not the first
	for asked, refused, killed := 0, 0, 0; ; {
		if isStale(last.err()) {
			tried.Again() // the same worker, if there is no other
		}
		lease, err := b.Pool.Acquire(t.ctx, 0, &tried)
		if err != nil {
			return "", t.noWorker(b, err, last)
		}
		if asked > 0 {
			since = time.Now()
		}
		again, last, err = t.attempt(b, lease)
		switch {
		case isRefused(err) && refused < maxRefusals:
			refused++
		case asked > 0 && killed < maxKilled && t.wasKilled(b, lease, err, since):
			killed++
		default:
			asked++
		}
		if err == nil || asked == maxAttempts || t.ctx.Err() != nil || !safeToRetry(err) || lease.Hung() || !t.rewind() {
			return again, last
		}
		t.logRetry(last)
	}
}

// wasKilled reports whether an attempt has failed because somebody has killed the
// process.
func (t *turn) wasKilled(b *Backend, lease pool.Lease, err error, since time.Time) bool {
	return err != nil && b.Killed != nil && safeToRetry(err) && !isTimeout(err) &&
		b.Killed(t.ctx, lease.Worker().Endpoint(), since)
}

// attempt asks one worker and passes its answer on. err is set if there was
// none, and no is what to tell the client then.
func (t *turn) attempt(b *Backend, lease pool.Lease) (again string, no *refusal, err error) {
	verdict := context.Canceled // a panic says nothing about the worker
	defer func() { lease.Release(verdict) }()
	t.notes(b, lease)
	at := lease.Worker().Endpoint()
	t.life.begin(lease.Worker(), at.Network)
	resp, err := b.Transport.RoundTrip(t.ctx, at.Network, at.Address, t.r)
	if err == nil {
		lease.Worker().Alive()
		again, verdict = t.respond(b, lease.Worker(), resp)
		return again, nil, nil
	}
	if no := t.clientFailed(); no != nil {
		return "", no, nil
	}
	verdict = t.blame(err)
	return "", failure(b, lease.Worker(), err), err
}

// noWorker says why there is no worker for the request; if it has been to
// all of them, the last one's failure is the answer.
func (t *turn) noWorker(b *Backend, err error, last *refusal) *refusal {
	if errors.Is(err, pool.ErrTried) && last != nil {
		return last
	}
	no := refuse(http.StatusServiceUnavailable, err, "")
	no.backend = b.Name
	if e, ok := errors.AsType[*pool.QueueError](err); ok && e.Err == pool.ErrDown {
		no.hint, no.after = downHint, e.After
	}
	return no
}

// failure puts a failed attempt into an answer.
func failure(b *Backend, w *pool.Worker, err error) *refusal {
	status := http.StatusBadGateway
	switch {
	case isRefused(err):
		status = http.StatusServiceUnavailable
	case isTimeout(err):
		status = http.StatusGatewayTimeout
	}
	no := refuse(status, err, hint(err, w.String()))
	no.backend, no.worker = b.Name, w.String()
	return no
}

// blame returns what a failed attempt says about its worker. One whose answer
// had a bad head is well: its connection and its records were good, and a script
// that prints nonsense must not take the others with it.
func (t *turn) blame(err error) error {
	switch {
	case t.gone(), isStale(err):
		return context.Canceled
	case errors.Is(err, cgi.ErrMalformed), errors.Is(err, cgi.ErrTooLarge):
		return nil
	}
	return err
}

// gone reports whether the client has gone.
func (t *turn) gone() bool {
	if b, ok := t.body.(*liveBody); ok {
		return b.clientGone()
	}
	return t.ctx.Err() != nil
}

// clientFailed returns the answer to a client whose request body could not be
// read to its end, nil if it could.
func (t *turn) clientFailed() *refusal {
	if t.body == nil {
		return nil
	}
	err := t.body.failed()
	if err == nil {
		return nil
	}
	return bodyRefusal(err)
}

// rewind makes the body ready for another attempt, if it can be.
func (t *turn) rewind() bool { return t.body == nil || t.body.rewind() }

func safeToRetry(err error) bool {
	e, ok := errors.AsType[*cgi.Error](err)
	return ok && e.SafeToRetry
}

// isStale reports whether the connection had been kept and may just have been
// closed, by a worker that is well.
func isStale(err error) bool {
	e, ok := errors.AsType[*cgi.Error](err)
	return ok && e.Stale
}

// isRefused reports whether the worker said that it takes no request now.
func isRefused(err error) bool {
	e, ok := errors.AsType[*cgi.Error](err)
	return ok && e.Refused
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && e.Timeout()
}

// logRetry tells of an attempt that the client will not know of.
func (t *turn) logRetry(no *refusal) {
	if t.h.Log == nil {
		return
	}
	t.h.Log.LogAttrs(context.Background(), slog.LevelWarn, "attempt failed, asking again",
		slog.String("method", shortened(t.r.Method)),
		slog.String("path", shortened(t.r.Path())),
		slog.String("backend", no.backend),
		slog.String("worker", no.worker),
		slog.Any("err", no.cause))
}

// notes tells the access log who answers.
func (t *turn) notes(b *Backend, lease pool.Lease) {
	if t.note == nil {
		return
	}
	notes := append(t.room[:0],
		slog.String("backend", b.Name),
		slog.String("worker", lease.Worker().String()))
	if waited := lease.Waited(); waited > 0 {
		notes = append(notes, slog.Duration("queued", waited))
	}
	t.note.Note(notes...)
}
