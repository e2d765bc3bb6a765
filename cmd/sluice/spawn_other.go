//go:build !linux

package main

import (
	"os"
	"strconv"
	"syscall"
)

// keepDescriptors marks what we have open besides standard input, output and
// error as not to be inherited. Go's own are; those that we were started with
// may not be.
func keepDescriptors() {
	entries, _ := os.ReadDir("/dev/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}
