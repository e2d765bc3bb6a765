//go:build !linux

package process

import "os"

// canIsolate says whether all of an Isolation can be had here.
const canIsolate = false

// ourPowers returns what we may do: all, or nothing.
func ourPowers() powers {
	root := os.Geteuid() == 0
	p := powers{root: root, ids: root, limits: root, nice: root, uid: os.Geteuid(), gid: os.Getegid()}
	p.groups, _ = os.Getgroups()
	return p
}

// begin starts the program at path, from this thread. What else s asks for has
// been refused.
func (s *Spec) begin(path string, attr *os.ProcAttr) (*os.Process, *startError) {
	keepOurs()
	program, args := s.byShell(path, false)
	p, err := os.StartProcess(program, args, attr)
	if err != nil {
		return nil, s.refused(program, err)
	}
	return p, nil
}

// onMainThread reports whether this thread was the first of the process.
func onMainThread() bool { return false }
