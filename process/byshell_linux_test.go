package process

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/dial"
)

// A process is handed its socket as systemd would do it, too.
func TestListenFDs(t *testing.T) {
	spec := self("activated")
	spec.Name = "a:b"
	spec.Listen = ListenFDs
	spec.Env = append(spec.Env, "LISTEN_PID=1", "LISTEN_FDS=7", "LISTEN_FDNAMES=other")
	g, _ := startGroup(t, spec, 1)
	st := untilState(t, g, Ready)
	if got, want := untilOutput(t, g, "pid "), fmt.Sprintf("%d fds 1 names a_b", st.PID); got != want {
		t.Errorf("it was told pid %s, want %s", got, want)
	}
	members := taking(g)
	if got := whoAnswers(t, members[0].Address); got != fmt.Sprint(st.PID) {
		t.Errorf("process %s answers, want %d", got, st.PID)
	}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", st.PID))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range []string{"0", "3"} {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", st.PID, fd))
		if !strings.HasPrefix(to, "socket:") {
			t.Errorf("descriptor %s of %d is %s, want a socket", fd, len(entries), to)
		}
	}
}

// In a chroot, under another user, with a umask: all at once.
func TestListenFDsIsolated(t *testing.T) {
	needRoot(t)
	root := newChroot(t, "/bin/sleep")
	spec := script(`echo "told $LISTEN_PID $$ $(umask) $0"; exec sleep 60`)
	spec.Listen = ListenFDs
	spec.Credential = &Credential{UID: nobody, GID: nobody}
	spec.Isolation = Isolation{Chroot: root, Umask: umask(0o27)}
	g, _ := startGroup(t, spec, 1)
	st := untilState(t, g, Ready)
	if got, want := untilOutput(t, g, "told "), fmt.Sprintf("%d %d 0027 /bin/sh", st.PID, st.PID); got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
	members := taking(g)
	c, err := dial.Connect(t.Context(), "unix", members[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
