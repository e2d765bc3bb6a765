package process

import (
	"iter"
	"os"
	"strconv"
	"strings"
)

// ownProc returns nil if /proc is there and is that of our own PID namespace.
// After unshare(1) with --pid alone it is still that of the others: what it says
// of a number is about somebody else.
func ownProc() *startError {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return &startError{"what a process is cannot be seen: " + err.Error(), "mount /proc"}
	}
	if st := parseStatus(b); st["Pid"] != strconv.Itoa(os.Getpid()) || len(strings.Fields(st["NSpid"])) > 1 {
		return &startError{"what a process is cannot be seen: /proc is that of another PID namespace", "mount /proc (unshare has --mount-proc)"}
	}
	return nil
}

// seesProcesses reports whether it can be told which processes run.
func seesProcesses() bool { return ownProc() == nil }

// everyProcess returns all processes that we can see, by their numbers: none if
// the numbers would not be ours.
func everyProcess() iter.Seq2[int, stat] {
	return func(yield func(int, stat) bool) {
		if !seesProcesses() {
			return
		}
		entries, _ := os.ReadDir("/proc")
		for _, e := range entries {
			pid, err := strconv.Atoi(e.Name())
			if err != nil {
				continue
			}
			text, err := os.ReadFile("/proc/" + e.Name() + "/stat")
			if err != nil {
				continue // it has ended
			}
			if s, ok := parseStat(text); ok && !yield(pid, s) {
				return
			}
		}
	}
}
