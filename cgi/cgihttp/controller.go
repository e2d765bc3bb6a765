package cgihttp

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"time"
)

// What http.ResponseController finds, besides FlushError.
var (
	_ http.Hijacker                                  = (*response)(nil)
	_ interface{ SetReadDeadline(time.Time) error }  = (*response)(nil)
	_ interface{ SetWriteDeadline(time.Time) error } = (*response)(nil)
	_ interface{ EnableFullDuplex() error }          = (*response)(nil)
)

// SetReadDeadline makes reads of the request body fail from t on.
func (p *response) SetReadDeadline(t time.Time) error {
	if p.body != nil {
		p.body.setDeadline(t)
	}
	return nil
}

// SetWriteDeadline asks the server of the protocol. It does not wait for a
// write that is under way, because that may be what it is to end.
func (p *response) SetWriteDeadline(t time.Time) error {
	if !p.x.gate.enter() {
		return errEnded
	}
	defer p.x.gate.leave()
	if w, ok := p.x.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		return w.SetWriteDeadline(t)
	}
	return http.ErrNotSupported
}

// EnableFullDuplex has nothing to do: nobody here reads the body behind the
// handler's back.
func (p *response) EnableFullDuplex() error { return nil }

// Hijack says why it cannot be done. The error wraps http.ErrNotSupported.
func (p *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, fmt.Errorf("cgihttp: hijack: a CGI request has no connection of its own: %w", http.ErrNotSupported)
}
