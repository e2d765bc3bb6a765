package fastcgi

import (
	"io"
	"sync"
)

// A stdin is the body of a request at the application's end: what has come of
// STDIN and has not been read. Two goroutines meet in it, the reader of the
// connection and the handler. It yields as many bytes as CONTENT_LENGTH says,
// or an error (FastCGI 1.0 §6.2).
type stdin struct {
	max int // bytes that are held before the connection's reader waits

	mu      sync.Mutex // guards what follows
	changed sync.Cond
	buf     *bytesBuffer
	off     int   // what of buf has been read
	left    int64 // bytes to come, or -1 if that is not known
	ended   bool  // the end of STDIN has come
	closed  bool  // nobody reads any more: throw away what comes
	err     error // why no more will come
}

func (s *stdin) init(max int) {
	s.max = max
	s.changed.L = &s.mu
}

// expect sets the length of the body, -1 if it is not known.
func (s *stdin) expect(length int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = length
}

// fits reports whether add will not wait.
func (s *stdin) fits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room()
}

func (s *stdin) room() bool {
	return s.closed || s.err != nil || s.ended || s.left == 0 || s.buf == nil || len(s.buf.b)-s.off < s.max
}

// add takes bytes that have come, and waits for room first. It returns false
// if STDIN has ended before.
func (s *stdin) add(p []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.room() {
		s.changed.Wait()
	}
	if s.ended {
		return false
	}
	if s.left >= 0 {
		p = p[:min(int64(len(p)), s.left)]
		s.left -= int64(len(p))
	}
	if s.closed || s.err != nil || len(p) == 0 {
		return true
	}
	if s.buf == nil {
		s.buf = bodies.Get().(*bytesBuffer)
	}
	if s.off > 0 && len(s.buf.b)+len(p) > cap(s.buf.b) {
		n := copy(s.buf.b, s.buf.b[s.off:])
		s.buf.b, s.off = s.buf.b[:n], 0
	}
	s.buf.b = append(s.buf.b, p...)
	s.changed.Broadcast()
	return true
}

// end notes the end of STDIN.
func (s *stdin) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.changed.Broadcast()
}

// fail notes that no more will come. A body that is here to its end can still
// be read.
func (s *stdin) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && !s.ended && s.left != 0 {
		s.err = err
	}
	s.changed.Broadcast()
}

// close frees the body when the handler has returned. It reports whether all
// of STDIN had come.
func (s *stdin) close() (complete bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.buf.free()
	s.buf, s.off = nil, 0
	s.changed.Broadcast()
	return s.ended && s.err == nil
}

// Read implements cgi.Body.
func (s *stdin) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.closed:
			return 0, errReadEnded
		case s.err == errCancelled:
			return 0, s.err
		case s.buf != nil:
			n := copy(p, s.buf.b[s.off:])
			if s.off += n; s.off == len(s.buf.b) {
				s.buf.free()
				s.buf, s.off = nil, 0
			}
			s.changed.Broadcast()
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
		s.changed.Wait()
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
