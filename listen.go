package sluice

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"github.com/sluice-gateway/sluice/internal/address"
	"github.com/sluice-gateway/sluice/internal/listen"
)

// openListener opens a listener for HTTP, or takes one that is open.
func (s *Server) openListener(spec string) (net.Listener, error) {
	if l := s.o.Listeners[spec]; l != nil {
		delete(s.o.Listeners, spec)
		return l, nil
	}
	at, err := address.Parse(spec)
	if err != nil {
		return nil, fmt.Errorf("sluice: listen: %w", err)
	}
	l, err := listen.On(at, socketMode)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("sluice: listen on %s: %w: end what listens there, or take another with --listen", spec, err)
	case errors.Is(err, syscall.EACCES) && at.Network != "unix":
		return nil, fmt.Errorf("sluice: listen on %s: not permitted: ports below 1024 need root or the capability CAP_NET_BIND_SERVICE", spec)
	case errors.Is(err, listen.ErrNotListening):
		return nil, fmt.Errorf("sluice: listen on %s: %w: whoever starts sluice must hand one over (systemd: a .socket unit)", spec, err)
	case err != nil:
		return nil, fmt.Errorf("sluice: listen on %s: %w", spec, err)
	}
	return l, nil
}

// URL returns what to type into a browser to reach a listener, or the address
// of a unix socket.
func URL(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return address.Address{Network: a.Network(), Address: a.String()}.String()
	}
	host := tcp.IP.String()
	if tcp.IP.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(tcp.Port)) + "/"
}
