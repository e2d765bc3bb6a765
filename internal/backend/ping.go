package backend

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/internal/dial"
)

const (
	// pingTimeout bounds one question whether a process takes requests. What
	// it cannot accept yet waits in the queue of its socket.
	pingTimeout = 10 * time.Second

	// Between two looks whether a process has read the question there is an
	// eighth of the time that has passed, within readMin and readMax: some
	// applications know no management records, and say nothing.
	readMin = 2 * time.Millisecond
	readMax = 10 * time.Millisecond
)

// ping returns nil as soon as a process of the backend accepts connections. The
// connections that its client keeps do not stand in the way: one may be there
// already, of a request that waited for the process.
func (b *Backend) ping(ctx context.Context, network, address string) error {
	defer b.client.Waiting(network, address)()
	return ping(ctx, network, address)
}

// ping returns nil as soon as the process at an address accepts connections. It
// is asked for FCGI_MAX_CONNS, which, unlike FCGI_MPXS_CONNS, announces nothing;
// any answer will do, also that it hangs up, or that it has read the question
// and says nothing.
func ping(ctx context.Context, network, address string) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	nc, err := dial.Connect(ctx, network, address) // whose paths may be long
	if err != nil {
		return err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	question, err := fastcgi.AppendPair(fastcgi.AppendHeader(nil, fastcgi.TypeGetValues, 0, uint16(2+len(fastcgi.MaxConns)), 0), fastcgi.MaxConns, "")
	if err != nil {
		return err
	}
	if _, err := nc.Write(question); err != nil {
		return err
	}
	for begin := time.Now(); ; {
		pause := min(max(time.Since(begin)/8, readMin), readMax)
		nc.SetReadDeadline(time.Now().Add(pause))
		_, err := nc.Read(make([]byte, 1))
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !errors.Is(err, os.ErrDeadlineExceeded), wasRead(nc):
			return nil // it has accepted: it answers, hangs up, or has read the question
		}
	}
}
