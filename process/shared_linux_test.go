package process

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func init() {
	// The first of several event-driven applications makes the socket that they
	// share non-blocking. It says whether it is when it gets SIGUSR1.
	moreParts["event-driven"] = func() error {
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGUSR1)
		first, err := os.OpenFile(os.Getenv("FIRST"), os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			fmt.Println("another")
			select {}
		}
		first.Close()
		if err := syscall.SetNonblock(0, true); err != nil {
			return err
		}
		fmt.Println("the first")
		<-asked
		flags, err := unix.FcntlInt(0, unix.F_GETFL, 0)
		fmt.Println("it does not block:", flags&syscall.O_NONBLOCK != 0, err)
		select {}
	}
}

// A process that is started does not change the socket of those that run.
func TestSharedSocketStaysAsItIs(t *testing.T) {
	dir := shortDir(t)
	spec := self("event-driven")
	spec.Env = append(spec.Env, "FIRST="+dir+"/first")
	spec.Socket = Socket{Address: "unix:" + dir + "/s", UID: -1, GID: -1}
	g, log := startGroup(t, spec, 1)
	untilOutput(t, g, "the first")
	g.Want(2)
	eventually(t, "another", func() bool { return len(log.With(`text=another`)) == 1 })
	g.Signal(syscall.SIGUSR1)
	if got := untilOutput(t, g, "it does not block: "); got != "true <nil>" {
		t.Errorf("it does not block: %s, want true", got)
	}
	stop(t, g)
}
