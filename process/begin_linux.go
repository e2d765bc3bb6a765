package process

import (
	"errors"
	"os"
	"syscall"
)

// begin starts the program at path, from this thread, and returns it when it is
// all that s says. attr is without what s says of isolation.
func (s *Spec) begin(path string, attr *os.ProcAttr) (*os.Process, *startError) {
	keepOurs()
	ownUmask, failed := s.Isolation.settle()
	if failed != nil {
		return nil, failed
	}
	program, args := s.byShell(path, !ownUmask)
	if program == shell {
		if failed := s.executable(shell); failed != nil {
			return nil, failed
		}
	}
	p, held, err := s.hold(program, args, attr)
	if err != nil {
		return nil, s.refused(program, err)
	}
	if failed = s.limit(p.Pid); failed == nil {
		failed = s.verify(p.Pid, held, ownUmask)
	}
	if failed != nil {
		p.Kill()
		p.Wait()
		return nil, failed
	}
	if held {
		syscall.PtraceDetach(p.Pid) // it fails if somebody has killed it
	}
	return p, nil
}

// hold starts a program and, if something about it must be set or verified,
// stops it before its first instruction, with the means of a debugger
// (ptrace(2), PTRACE_TRACEME). Where that is forbidden, or somebody debugs us,
// it is not held: what follows then races with the program.
func (s *Spec) hold(path string, args []string, attr *os.ProcAttr) (p *os.Process, held bool, err error) {
	if s.credential() != nil || s.Isolation.asked() {
		attr.Sys.Ptrace = true
		p, err = os.StartProcess(path, args, attr)
		attr.Sys.Ptrace = false
		if err == nil {
			held, err = awaitStop(p)
		}
		if err == nil || !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOSYS) {
			return p, held, err
		}
	}
	p, err = os.StartProcess(path, args, attr)
	return p, false, err
}

// awaitStop waits until a program that was started to be held has stopped. It
// is stopped by a SIGTRAP of its own once the kernel has put it in its place;
// other signals may come before. One that has ended instead is reaped.
func awaitStop(p *os.Process) (held bool, err error) {
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(p.Pid, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			p.Kill()
			return false, err
		case status.Exited(), status.Signaled():
			p.Release()
			if status.Signaled() && status.Signal() == syscall.SIGSYS {
				return false, syscall.EPERM // a filter of system calls does not want it to be held
			}
			return false, errors.New(inWords(status) + " before it began")
		case status.StopSignal() == syscall.SIGTRAP:
			return true, nil
		default:
			syscall.PtraceCont(p.Pid, int(status.StopSignal()))
		}
	}
}
