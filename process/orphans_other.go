//go:build !linux

package process

// Adopt does nothing here: only on Linux can a program become the parent of its
// descendants that lose their own.
func Adopt() (stop func(), err error) { return func() {}, nil }

func endOrphans(trace, map[int]string) (all bool) { return true }

func orphans(trace) (left map[int]string, doubt bool) { return nil, false }
