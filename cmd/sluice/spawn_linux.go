package main

import (
	"math"

	"golang.org/x/sys/unix"
)

// keepDescriptors marks what we have open besides standard input, output and
// error as not to be inherited. Go's own are; those that we were started with
// may not be.
func keepDescriptors() { unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) }
