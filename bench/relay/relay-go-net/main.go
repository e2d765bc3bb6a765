// relay-go-net: the same by way of package net.
package main

import (
	"net"
	"os"
	"strings"
	"syscall"
)

func rec(b []byte, t byte, d []byte) []byte {
	return append(append(b, 1, t, 0, 1, byte(len(d)>>8), byte(len(d)), 0, 0), d...)
}

func length(b []byte, n int) []byte {
	if n < 128 {
		return append(b, byte(n))
	}
	return append(b, byte(n>>24)|128, byte(n>>16), byte(n>>8), byte(n))
}

func main() {
	s, err := net.Dial("unix", os.Args[1])
	if err != nil {
		os.Exit(1)
	}
	var p []byte
	for _, e := range syscall.Environ() {
		k, v, _ := strings.Cut(e, "=")
		p = append(append(length(length(p, len(k)), len(v)), k...), v...)
	}
	out := rec(nil, 1, []byte{0, 1, 0, 0, 0, 0, 0, 0})
	out = rec(rec(rec(out, 4, p), 4, nil), 5, nil)
	s.Write(out)
	b := make([]byte, 70000)
	have := 0
	for {
		r, err := s.Read(b[have:])
		if err != nil || r == 0 {
			os.Exit(1)
		}
		have += r
		at := 0
		for have-at >= 8 {
			l := int(b[at+4])<<8 | int(b[at+5])
			t := 8 + l + int(b[at+6])
			if have-at < t {
				break
			}
			if b[at+1] == 6 && l > 0 {
				os.Stdout.Write(b[at+8 : at+8+l])
			}
			if b[at+1] == 3 {
				os.Exit(0)
			}
			at += t
		}
		copy(b, b[at:have])
		have -= at
	}
}
