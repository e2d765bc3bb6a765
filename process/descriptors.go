package process

// KeepDescriptors marks every descriptor that this program has above 2 as not to
// be inherited. Go's own are; those that it was started with may not be. It is
// for programs that start others without a Group, which does it itself.
func KeepDescriptors() { keepOurs() }
