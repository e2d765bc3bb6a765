package gateway

import (
	"sync/atomic"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/pool"
)

// A life is what the pool is told of a request while a worker has it: the
// worker's signs of life, and whether it is the client's turn.
type life struct {
	worker *pool.Worker
	unseen int64        // bytes of the body that say nothing
	sent   int64        // bytes of the body up to now
	waits  atomic.Int32 // directions in which it is the client's turn
}

// begin says which worker the request goes to. Nobody reads the body then.
func (l *life) begin(w *pool.Worker, network string) {
	l.worker, l.sent, l.unseen = w, 0, takenUnseen
	if network == "unix" {
		l.unseen = takenUnseenUnix
	}
}

// toClient and toWorker say whose turn it is in one direction. A request is
// counted once, even if its client neither sends nor reads.
func (l *life) toClient() {
	if l.waits.Add(1) == 1 {
		l.worker.AtClient(1)
	}
}

func (l *life) toWorker() {
	if l.waits.Add(-1) == 0 {
		l.worker.AtClient(-1)
	}
}

// A sentBody is a request body, live or kept, as those read it who send it: they
// want another piece when the worker has taken what they had.
type sentBody struct {
	requestBody
	life *life
}

func (b *sentBody) Read(p []byte) (int, error) {
	if b.life.sent > b.life.unseen {
		b.life.worker.Alive()
	}
	b.life.toClient()
	defer b.life.toWorker()
	n, err := b.requestBody.Read(p)
	b.life.sent += int64(n)
	return n, err
}

// A sentAgain is a sentBody that can be sent more than once. It is a
// cgi.Rewinder.
type sentAgain struct {
	sentBody
	from cgi.Rewinder
}

func (b *sentAgain) Rewind() error {
	b.life.sent = 0
	return b.from.Rewind()
}

// toSend returns the body for those who send it.
func (t *turn) toSend() cgi.Body {
	sent := sentBody{t.body, &t.life}
	if from, ok := t.body.(cgi.Rewinder); ok {
		return &sentAgain{sent, from}
	}
	return &sent
}
