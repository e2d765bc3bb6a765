package process

import (
	"crypto/rand"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// markName is a variable of the environment of each process while we adopt
// orphans. What it starts inherits it, and whatever becomes of their parents,
// whose it is can be told.
const markName = "SLUICE_PROCESS"

// A trace is how it can be told of an orphan whose it is.
type trace struct {
	mark   string // in its environment
	socket uint64 // the inode of one that only the process and its descendants have; 0: there is none
}

// trace returns that of a process that is about to be started.
func (s *Spec) trace(sock *socket) (t trace) {
	if !adopting.Load() {
		return trace{}
	}
	t.mark = rand.Text()
	if s.Socket == (Socket{}) {
		t.socket = sock.inode()
	}
	return t
}

// orphanDoubt bounds how long it is waited until a process can be told from
// an orphan.
const orphanDoubt = 20 * time.Millisecond

// adopting is whether Adopt is in force.
var adopting atomic.Bool

// known are the numbers of processes that groups have started and not reaped yet.
// A group leaves a dead one as it is while it waits for the rest of its process
// group, for as long as that has got to finish.
var known sync.Map

// marked returns an environment with a mark, behind the one that we bear
// ourselves: whoever has started us ends all that bears his.
func marked(env []string, mark string) []string {
	if mark == "" {
		return env
	}
	with := make([]string, 0, len(env)+1)
	for _, e := range env {
		if !strings.HasPrefix(e, markName+"=") {
			with = append(with, e)
		}
	}
	if ours := os.Getenv(markName); ours != "" {
		mark = ours + ":" + mark
	}
	return append(with, markName+"="+mark)
}

// bears reports whether an environment, as /proc/PID/environ has it, has the
// mark.
func bears(environ, mark string) bool {
	for variable := range strings.SplitSeq(environ, "\x00") {
		if marks, ok := strings.CutPrefix(variable, markName+"="); ok {
			return mark != "" && slices.Contains(strings.Split(marks, ":"), mark)
		}
	}
	return false
}
