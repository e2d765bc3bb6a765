package process

import (
	"cmp"
	"fmt"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An Exit is the end of a process, or of the attempt to start one.
type Exit struct {
	PID    int // 0 if it could not be started
	At     time.Time
	Ran    time.Duration
	Reason string             // in words: "exit status 3", "killed by SIGSEGV (segmentation fault)"
	Advice string             // what to do about it; empty if nothing is wrong
	Output []string           // the last lines that it wrote
	Status syscall.WaitStatus // if it was started, and could be waited for

	Finished bool // it has done its share (Trial): another one follows at once

	clean  bool // exit status 0
	forced bool // by a signal that somebody has sent
}

// notStarted is the Exit of a process that there never was.
func notStarted(err *startError) Exit {
	return Exit{At: time.Now(), Reason: "not started: " + err.what, Advice: err.advice}
}

// inWords says how a process ended.
func inWords(status syscall.WaitStatus) string {
	if !status.Signaled() {
		return fmt.Sprintf("exit status %d", status.ExitStatus())
	}
	sig := status.Signal()
	s := fmt.Sprintf("killed by %s (%s)", signalName(sig), sig)
	if status.CoreDump() {
		s += ", core dumped"
	}
	return s
}

// isForced reports whether a signal is one that programs are ended with from
// outside.
func isForced(status syscall.WaitStatus) bool {
	switch status.Signal() { // -1 if there was none
	case syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT:
		return true
	}
	return false
}

func signalName(sig syscall.Signal) string {
	return cmp.Or(unix.SignalName(sig), fmt.Sprintf("signal %d", int(sig)))
}

// advice says what to do about a process of s that ended although nobody asked
// it to. quiet means that it wrote nothing.
func (s *Spec) advice(status syscall.WaitStatus, quiet bool) string {
	byHand := "run it by hand to see more: " + s.commandLine()
	if status.Signaled() {
		return s.adviceAfter(status.Signal(), byHand)
	}
	switch code := status.ExitStatus(); {
	case code == 0:
		return "it must stay in the foreground and accept connections on " + s.Listen.where() + ", as FastCGI applications do"
	case code == 78 && s.takesFPMSockets():
		return "78 is php-fpm's word for a configuration that it does not take, or for a socket that it did not find, because something around it has taken FPM_SOCKETS out of its environment; its last lines say which"
	case code == 126:
		return "126 is a shell's word for a command that it may not execute"
	case code == 127 && len(s.Isolation.Limits) > 0:
		return "127 is a loader's word for a library that it could not load, be it for " + s.Isolation.bounds() + ", or a shell's for a command that it did not find; " + byHand
	case code == 127:
		return "127 is a shell's word for a command, or a loader's for a library, that it did not find"
	case code > 128 && unix.SignalName(syscall.Signal(code-128)) != "":
		sig := syscall.Signal(code - 128)
		return fmt.Sprintf("%d is a shell's word for a command that was killed by %s (%s); %s", code, signalName(sig), sig, byHand)
	}
	if quiet {
		return "it wrote nothing: " + byHand
	}
	return "its last lines say why; " + byHand
}

// adviceAfter says what to do about a process of s that a signal has ended.
func (s *Spec) adviceAfter(sig syscall.Signal, byHand string) string {
	const killed = "somebody killed it, or the kernel did because memory ran out (dmesg says so)"
	switch sig {
	case syscall.SIGKILL:
		if l := s.Isolation.limit("cpu"); l != "" { // at the hard limit the kernel does not ask
			return "its CPU time may be used up (" + l + ", in seconds), or " + killed
		}
		return killed
	case syscall.SIGXCPU:
		return "its CPU time is used up (" + cmp.Or(s.Isolation.limit("cpu"), "a limit of ours") + ", in seconds): raise that, or see what it computes"
	case syscall.SIGXFSZ:
		return "it wrote more to a file than it may (" + cmp.Or(s.Isolation.limit("fsize"), "a limit of ours") + ", in bytes): raise that, or see what it writes"
	case syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGILL, syscall.SIGFPE, syscall.SIGABRT, syscall.SIGTRAP:
		what := "the application, or a library in it, has a bug"
		if len(s.Isolation.Limits) > 0 {
			what += ", or too little room in " + s.Isolation.bounds()
		}
		return what + ": " + byHand
	case syscall.SIGSYS:
		return "it made a system call that it is not allowed to make"
	}
	return "somebody sent it this signal"
}

// limit names one of the limits, "" if it is not set.
func (i *Isolation) limit(name string) string {
	for _, l := range i.Limits {
		if l.Name == name {
			return "limit " + l.String()
		}
	}
	return ""
}

// bounds names all limits that are set.
func (i *Isolation) bounds() string {
	names := make([]string, len(i.Limits))
	for n, l := range i.Limits {
		names[n] = l.String()
	}
	return "its limits (" + strings.Join(names, ", ") + ")"
}

// notReady says of a process that it did not get ready in time, and what to do
// about it.
func (s *Spec) notReady() *startError {
	advice := "it must accept connections on " + s.Listen.where() + " and speak FastCGI, and not listen at an address of its own"
	if s.takesFPMSockets() {
		advice = "it must find its socket as descriptor 3, and that in FPM_SOCKETS: nothing around it may close the one, or change the other"
	}
	return &startError{fmt.Sprintf("did not answer for %v after its start", s.startTimeout()), advice + "; one that takes longer to load needs a longer start timeout"}
}

// where says in words where a process finds its socket.
func (l Listen) where() string {
	if l == OnDescriptor0 {
		return "descriptor 0"
	}
	return "descriptor 0 or 3"
}

// commandLine returns what a person would type into a shell.
func (s *Spec) commandLine() string {
	words := make([]string, len(s.Args))
	for i, a := range s.Args {
		if words[i] = a; a == "" || strings.ContainsFunc(a, special) {
			words[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	line := strings.Join(words, " ")
	if s.Isolation.Chroot != "" {
		return s.Isolation.prlimit() + "chroot " + s.Isolation.Chroot + " " + line
	}
	line = s.Isolation.prlimit() + line
	if s.Dir != "" {
		line = "cd " + s.Dir + "; " + line
	}
	return line
}

// prlimit is the command that a person puts before another to give it the same
// limits; its options have their names.
func (i *Isolation) prlimit() string {
	if len(i.Limits) == 0 {
		return ""
	}
	line := "prlimit "
	for _, l := range i.Limits {
		line += "--" + l.String() + " "
	}
	return line
}

// special reports whether a shell may not take r for itself.
func special(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/._-=:,+@%", r))
}
