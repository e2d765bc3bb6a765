package process

import "syscall"

// A takenError says that somebody else listens where we want to. It is
// EADDRINUSE, however that was found out.
type takenError struct{ *startError }

func (e takenError) Unwrap() []error { return []error{e.startError, syscall.EADDRINUSE} }
