package process

import (
	"os"
	"strconv"
	"syscall"
	"time"
)

// credential returns c in the words of package syscall. Groups that are not
// given are dropped, not kept: ours may open more than the process should see.
func credential(c *Credential) *syscall.Credential {
	if c == nil {
		return nil
	}
	return &syscall.Credential{Uid: c.UID, Gid: c.GID, Groups: c.Groups}
}

// keepOursOneByOne marks every descriptor in the folder dir, but not 0, 1, 2.
func keepOursOneByOne(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}

// awaitGroup waits for the rest of a process group that got SIGKILL and whose
// leader has been reaped, and reports whether it is gone.
func awaitGroup(pgid int) bool {
	deadline := time.Now().Add(goneTimeout)
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		reapGroup(pgid)
		if !groupLives(pgid) {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(wait) // the kernel tells nobody but its parent when a process ends
	}
}

// reapGroup waits for those of a process group that are dead and that we have
// adopted, as the first process of a container does. Its leader has been reaped.
func reapGroup(pgid int) {
	for {
		pid, err := syscall.Wait4(-pgid, nil, syscall.WNOHANG, nil)
		if pid <= 0 && err != syscall.EINTR {
			return
		}
	}
}
