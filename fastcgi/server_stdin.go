package fastcgi

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/dial"
	"github.com/sluice-gateway/sluice/internal/spill"
)

// A stdin is the body of a request at the application's end, or the file of a
// filter: what has come of STDIN, or DATA, and has not been read. Two
// goroutines meet in it, the driver of the connection and the handler. It
// yields as many bytes as were announced, or an error (FastCGI 1.0 §6.2).
type stdin struct {
	q    *serverRequest // nil if there is no body
	kind Type

	mu      sync.Mutex // guards what follows
	changed sync.Cond
	queue   spill.Queue
	next    []byte // of the queue
	left    int64  // bytes to come, or -1 if that is not known
	ended   bool   // the end of the stream has come
	over    bool   // more has come than was announced
	closed  bool   // nobody reads any more: throw away what comes
	err     error  // why no more will come
}

// init makes it ready for a body of that length, -1 if it is not known.
func (s *stdin) init(q *serverRequest, kind Type, length int64) {
	*s = stdin{q: q, kind: kind, left: length}
	s.changed.L = &s.mu
	s.queue.Store, s.queue.Window = q.c.server.limit.bodies, q.c.server.limit.bodyAhead
}

// take handles a piece of the stream. It may wait for the handler to read.
func (s *stdin) take(p Piece) error {
	if s.q == nil { // there was no body to expect
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return errorf("%v of request %d after its end", s.kind, s.q.id)
	case p.Ends:
		s.ended = true
		s.changed.Broadcast()
		return nil
	}
	b := p.Content
	if s.q.credit.limited() && s.q.granted.Add(-int64(len(b))) < 0 {
		return errorf("%v of request %d exceeds the credit for it", s.kind, s.q.id)
	}
	if s.left >= 0 && int64(len(b)) > s.left {
		b = b[:s.left]
		s.tooLong()
	}
	s.put(b)
	if s.left >= 0 {
		s.left -= int64(len(b))
	}
	s.changed.Broadcast()
	return nil
}

// tooLong says, once, that more has come than was announced, and is thrown away.
// Web servers that announce wrongly are known (nginx before 1.11.8 with
// unbuffered chunked bodies); the handler has what it was promised.
func (s *stdin) tooLong() {
	if !s.over {
		s.over = true
		s.q.c.server.warn("request body cut", slog.String("peer", s.q.c.nc.RemoteAddr().String()), slog.String("stream", s.kind.String()),
			slog.String("why", "it is longer than was announced"))
	}
}

// put keeps b for the handler. mu is held.
func (s *stdin) put(b []byte) {
	for {
		for first := true; s.full() && !s.q.c.muxed.Load(); first = false {
			s.wait(first)
		}
		if s.closed || s.err != nil || len(b) == 0 {
			return
		}
		err := s.queue.Write(b)
		if err == nil {
			return
		}
		if !s.awaitRoom() {
			s.err = fmt.Errorf("fastcgi: request body: %w", err)
			return
		}
	}
}

// awaitRoom waits until the handler has read some of what is there, because
// there is no room for more. It does not, and returns false, if that would make
// other requests wait.
func (s *stdin) awaitRoom() bool {
	before := s.queue.Len()
	s.mu.Unlock()
	alone := s.q.c.carriesOne()
	s.mu.Lock()
	if before == 0 || !alone || s.q.c.shown.Load() {
		return false
	}
	for first := true; s.queue.Len() >= before && !s.closed && s.err == nil; first = false {
		s.wait(first)
	}
	return true
}

// wait makes the driver wait for the handler, after all that he has to do is
// done. mu is held, and released for that time.
func (s *stdin) wait(first bool) {
	c := s.q.c
	if first {
		s.mu.Unlock()
		c.spawnBodies()
		c.out.flush()
		s.mu.Lock()
		return // the handler may have read meanwhile
	}
	c.vigil.begin(c)
	s.changed.Wait()
	s.mu.Unlock()
	c.vigil.end(c)
	s.mu.Lock()
}

// full reports whether no more should come. Before it is known whether the web
// server sends several requests at a time, more than the window is taken, so
// that those can show themselves.
func (s *stdin) full() bool {
	return !s.closed && s.err == nil && s.queue.Len()/unproven >= int64(s.q.c.server.limit.bodyAhead)
}

// fail notes that no more will come. A body that is here to its end can still
// be read.
func (s *stdin) fail(err error) {
	if s.q == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && !s.ended && s.left != 0 {
		s.err = err
	}
	s.changed.Broadcast()
}

// close frees the body when the handler has returned. It reports whether all
// of the stream had come.
func (s *stdin) close() (complete bool) {
	if s.q == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.queue.Close()
	s.next = nil
	s.changed.Broadcast()
	return s.ended && s.err == nil
}

// Read implements cgi.Body.
func (s *stdin) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if len(s.next) == 0 && !s.closed && s.queue.Len() > 0 {
			b, err := s.queue.Next()
			if err != nil {
				s.err = fmt.Errorf("fastcgi: request body: %w", err)
			}
			s.next = b
		}
		switch {
		case s.closed:
			return 0, errReadEnded
		case s.err == errCancelled:
			return 0, s.err
		case len(s.next) > 0:
			n := copy(p, s.next)
			s.next = s.next[n:]
			s.changed.Broadcast()
			s.grant(n)
			return n, nil
		case s.err != nil:
			return 0, s.err
		case s.left == 0 || s.ended && s.left < 0:
			return 0, io.EOF
		case s.ended:
			return 0, io.ErrUnexpectedEOF
		case len(p) == 0:
			return 0, nil
		}
		s.awaitMore()
	}
}

// awaitMore makes the handler wait, and fails the body if nothing comes for too
// long. mu is held, and released for that time.
func (s *stdin) awaitMore() {
	if t := s.q.c.server.limit.bodyTimeout; t > 0 {
		defer time.AfterFunc(t, func() {
			s.fail(dial.Timeout(fmt.Sprintf("fastcgi: request body: nothing has come for %v", t)))
		}).Stop()
	}
	s.changed.Wait()
}

// grant tells the web server that it may send more, if it waits for that. mu
// is held, and released while the record is on its way. The credit is for both
// streams of a filter: what was read of STDIN lets DATA come, and STDIN that is
// not read takes a part of the window away.
func (s *stdin) grant(n int) {
	q := s.q
	taken := q.taken.Add(int64(n))
	if !q.credit.limited() || s.ended && (s.kind == TypeData || q.role != cgi.Filter) {
		return
	}
	window := q.c.window()
	if s.kind == TypeData {
		window -= q.stdin.unread()
	}
	if taken < window/2 {
		return
	}
	more := q.taken.Swap(0)
	if more == 0 {
		return
	}
	q.granted.Add(more)
	s.mu.Unlock()
	q.grant(uint32(more))
	s.mu.Lock()
}

// unread returns how many bytes have come and have not been read.
func (s *stdin) unread() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.Len() + int64(len(s.next))
}

// grant lets n more bytes come, unless the request is over: its id may be that
// of another one by then.
func (q *serverRequest) grant(n uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.over {
		q.c.out.send(func(dst []byte) []byte { return AppendWindowUpdate(dst, q.id, n) }, nil, time.Time{})
	}
}

// Cancel implements cgi.Body.
func (s *stdin) Cancel() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = errCancelled
	}
	s.changed.Broadcast()
}
