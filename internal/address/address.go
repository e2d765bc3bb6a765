// Package address reads the addresses that stand in configurations and on
// command lines, so that they mean the same everywhere.
package address

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// An Address is where something listens, in the terms of package net.
type Address struct {
	Network string // "unix", "tcp" or "fd"
	Address string // path ("@" first: abstract), host:port, or the descriptor's number
}

// Parse reads unix:/path, unix:@abstract, host:port, [::1]:port or fd:N. A
// path ("/run/app.sock", "./app.sock") is a unix socket.
func Parse(s string) (Address, error) {
	switch scheme, rest, ok := strings.Cut(s, ":"); {
	case s == "":
		return Address{}, fmt.Errorf("address is empty: want unix:/path, host:port or fd:0")
	case strings.ContainsRune(s, 0):
		return Address{}, fmt.Errorf("address %q has a NUL in it", s)
	case ok && scheme == "unix":
		return unix(s, rest)
	case strings.Contains(s, "://"):
		return Address{}, fmt.Errorf("address %q is a URL: want unix:/path, host:port or fd:0", s)
	case ok && scheme == "fd":
		if n, err := strconv.ParseUint(rest, 10, 16); err != nil || strconv.FormatUint(n, 10) != rest {
			return Address{}, fmt.Errorf("address %q: want fd: and a descriptor's number", s)
		}
		return Address{"fd", rest}, nil
	case strings.ContainsRune(s, '/'), s[0] == '@':
		return unix(s, s)
	}
	return tcp(s)
}

func unix(s, path string) (Address, error) {
	if path == "" || path == "@" {
		return Address{}, fmt.Errorf("address %q: want unix: and then a path", s)
	}
	return Address{"unix", path}, nil
}

func tcp(s string) (Address, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil || s[0] == '[' && !strings.Contains(host, ":") {
		return Address{}, fmt.Errorf("address %q: want unix:/path, host:port or fd:0", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return Address{}, fmt.Errorf("address %q: port %q is not a number from 0 to 65535", s, port)
	} else {
		port = strconv.FormatUint(n, 10)
	}
	return Address{"tcp", net.JoinHostPort(host, port)}, nil
}

// String returns the form that Parse reads.
func (a Address) String() string {
	if a.Network == "tcp" {
		return a.Address
	}
	return a.Network + ":" + a.Address
}
