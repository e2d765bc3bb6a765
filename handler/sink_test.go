package handler

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

var errGone = errors.New("client has gone")

// A sink is the ResponseWriter at the bottom, with no optional interface.
type sink struct {
	calls   []string
	body    bytes.Buffer
	room    int  // bytes of body until the client is gone, if limited
	limited bool // the client goes
}

func (s *sink) reset() {
	s.calls = s.calls[:0]
	s.body.Reset()
}

func (s *sink) WriteHeader(status int, _ cgi.Header) error {
	s.calls = append(s.calls, "head")
	if s.limited && s.room == 0 {
		return errGone
	}
	return nil
}

func (s *sink) Write(p []byte) (int, error) {
	if s.limited && len(p) > s.room {
		n, _ := s.body.Write(p[:s.room])
		s.room = 0
		return n, errGone
	}
	s.room -= len(p)
	return s.body.Write(p)
}

func (s *sink) Flush() error {
	s.calls = append(s.calls, "flush")
	if s.limited && s.room == 0 {
		return errGone
	}
	return nil
}

func (s *sink) Abort() { s.calls = append(s.calls, "abort") }

// A richSink has all of the optional interfaces.
type richSink struct {
	sink
	stderr   bytes.Buffer
	deadline time.Time
}

func (s *richSink) ReadFrom(r io.Reader) (int64, error) {
	s.calls = append(s.calls, "readfrom")
	return io.Copy(struct{ io.Writer }{&s.sink}, r)
}

func (s *richSink) Stderr() io.Writer { return &s.stderr }

func (s *richSink) SetWriteDeadline(t time.Time) error {
	s.deadline = t
	return nil
}
