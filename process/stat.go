package process

import (
	"bytes"
	"strconv"
)

// A stat is what /proc/PID/stat says of a process.
type stat struct {
	state         byte
	parent, group int
	pages         int64 // of resident memory
}

// gone reports whether it is nothing but a number that has not been waited for.
func (s stat) gone() bool { return s.state == 'Z' || s.state == 'X' }

// parseStat reads /proc/PID/stat. The name, in parentheses, may hold anything,
// spaces and parentheses included (proc_pid_stat(5)).
func parseStat(text []byte) (s stat, ok bool) {
	const state, parent, group, rss = 0, 1, 2, 21 // behind the name
	f := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(f) <= rss || len(f[state]) != 1 {
		return stat{}, false
	}
	s.state = f[state][0]
	var err1, err2, err3 error
	s.parent, err1 = strconv.Atoi(string(f[parent]))
	s.group, err2 = strconv.Atoi(string(f[group]))
	s.pages, err3 = strconv.ParseInt(string(f[rss]), 10, 64)
	return s, err1 == nil && err2 == nil && err3 == nil
}
