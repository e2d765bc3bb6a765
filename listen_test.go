package sluice

import (
	"net"
	"strings"
	"testing"
)

func TestListenErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for spec, want := range map[string]string{
		l.Addr().String(): "in use",
		"192.0.2.1:80":    "192.0.2.1:80",
		"fd:99":           "not a listening socket",
		"nonsense":        "sluice: listen",
	} {
		if l, err := new(Server).openListener(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("listen on %s: %v, want %q", spec, err, want)
			if l != nil {
				l.Close()
			}
		}
	}
}

func TestURL(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:80": "http://127.0.0.1:80/",
		"0.0.0.0:8080": "http://localhost:8080/",
		"[::]:8080":    "http://localhost:8080/",
		"[::1]:8080":   "http://[::1]:8080/",
	} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := URL(a); got != want {
			t.Errorf("URL(%s) = %s, want %s", addr, got, want)
		}
	}
}
