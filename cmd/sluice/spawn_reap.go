package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// reapEvery is how often process 1 looks for dead processes that it has
// adopted. Those that it started itself are waited for by whoever started them,
// at once; so only what was dead at the last look as well is nobody's.
const reapEvery = time.Second

// reap collects dead processes that we have adopted, until ctx is done.
func reap(ctx context.Context) {
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	dead := make(map[int]bool)
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := make(map[int]bool)
		for _, pid := range deadChildren(os.Getpid()) {
			if now[pid] = true; dead[pid] {
				syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
			}
		}
		dead = now
	}
}

// deadChildren returns the children of a process that have ended and have not
// been waited for.
func deadChildren(parent int) (dead []int) {
	files, _ := filepath.Glob("/proc/[1-9]*/stat")
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has gone
		}
		// The name, in parentheses, may hold anything (proc_pid_stat(5)).
		f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(f) < 2 || string(f[0]) != "Z" || string(f[1]) != strconv.Itoa(parent) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			dead = append(dead, pid)
		}
	}
	return dead
}
