package config

import (
	"fmt"
	"strings"
	"syscall"
)

// stopSignals are those that programs end at. WINCH is how Apache's children
// are asked to finish their requests, QUIT how PHP's and nginx's are.
var stopSignals = []struct {
	name   string
	signal syscall.Signal
}{
	{"TERM", syscall.SIGTERM},
	{"INT", syscall.SIGINT},
	{"QUIT", syscall.SIGQUIT},
	{"HUP", syscall.SIGHUP},
	{"USR1", syscall.SIGUSR1},
	{"USR2", syscall.SIGUSR2},
	{"WINCH", syscall.SIGWINCH},
	{"KILL", syscall.SIGKILL},
}

// signal reads the name of a signal, with or without SIG.
func signal[T any](field func(*T) *syscall.Signal) func(spot, *T) {
	return func(s spot, to *T) {
		var known []string
		for _, sig := range stopSignals {
			known = append(known, sig.name)
		}
		if s.kind != aString {
			s.wrong(fmt.Sprintf(" is %s, want the name of a signal", s.kind), `write "TERM"`)
			return
		}
		name := strings.TrimPrefix(s.text, "SIG")
		for _, sig := range stopSignals {
			if name == sig.name {
				*field(to) = sig.signal
				s.done()
				return
			}
		}
		meant := nearest(strings.TrimPrefix(strings.ToUpper(s.text), "SIG"), known)
		s.wrong(fmt.Sprintf(" is %s, want %s", quoted(s.text), either(known)), didYouMean(meant))
	}
}
