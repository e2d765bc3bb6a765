//go:build !linux

package dial

// shorten knows no other name here.
func shorten(path string) (name string, done func(), err error) {
	return "", nil, tooLong("the path of the socket", len(path), MaxPath)
}
