package process

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/testlog"
	"go.uber.org/goleak"
)

// The test binary is its own child: this variable says what it plays.
const childMode = "SLUICE_TEST_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		if err := play(mode); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// play is the child. None lives for more than a minute, whatever happens.
func play(mode string) error {
	time.AfterFunc(time.Minute, func() { os.Exit(9) })
	mode, rest, _ := strings.Cut(mode, " ")
	switch mode {
	case "serve": // answers with its number on descriptor 0
		l, err := net.FileListener(os.Stdin)
		if err != nil {
			return err
		}
		return answer(l)
	case "parent": // starts a group in the folder rest, says what is in it, and waits
		g, err := NewGroup(Spec{Name: "orphan", Args: []string{"/bin/sleep", "60"}}, 1, rest)
		if err != nil {
			return err
		}
		if err := g.Start(); err != nil {
			return err
		}
		return g.Watch(context.Background(), func(ms []Member, _ Outlook) {
			for _, m := range ms {
				fmt.Println(m.PID)
			}
		})
	case "desert": // leaves its process group for ours, and is deaf
		signal.Ignore(syscall.SIGTERM)
		group, err := syscall.Getpgid(os.Getppid())
		if err != nil {
			return err
		}
		if err := syscall.Setpgid(0, group); err != nil {
			return err
		}
		fmt.Println("gone over")
		select {}
	case "activated": // the same as serve on what LISTEN_FDS names
		l, err := net.FileListener(os.NewFile(3, "LISTEN_FDS"))
		if err != nil {
			return err
		}
		fmt.Println("pid", os.Getenv("LISTEN_PID"), "fds", os.Getenv("LISTEN_FDS"), "names", os.Getenv("LISTEN_FDNAMES"))
		return answer(l)
	case "exit0":
		fmt.Println("nothing to do")
		return nil
	}
	if part := moreParts[mode]; part != nil {
		return part()
	}
	return fmt.Errorf("no part for %q", mode)
}

// moreParts are those that other files add.
var moreParts = map[string]func() error{}

// answer tells everybody who connects the number of this process.
func answer(l net.Listener) error {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	go func() { <-terminated; fmt.Println("told to end"); l.Close() }()
	for {
		c, err := l.Accept()
		if err != nil {
			return nil
		}
		fmt.Fprintln(c, os.Getpid())
		c.Close()
	}
}

// self returns a Spec of the test binary in a mode.
func self(mode string) Spec {
	// The race detector makes a program linger for a second at its end.
	return Spec{Name: "app", Args: []string{os.Args[0]}, Env: CleanEnv(childMode+"="+mode, "GORACE=atexit_sleep_ms=0")}
}

// script returns a Spec of a shell script. The variable $PATH is ours.
func script(text string) Spec {
	return Spec{Name: "app", Args: []string{"/bin/sh", "-c", text}}
}

// shortDir returns a folder for sockets: their paths have at most 107 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// newGroup makes a group whose log goes to the returned record.
func newGroup(t *testing.T, spec Spec, slots int) (*Group, *testlog.Buffer) {
	t.Helper()
	log := new(testlog.Buffer)
	spec.Log = log.Logger()
	g, err := NewGroup(spec, slots, shortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, g) })
	return g, log
}

// startGroup makes a group and starts it.
func startGroup(t *testing.T, spec Spec, slots int) (*Group, *testlog.Buffer) {
	t.Helper()
	g, log := newGroup(t, spec, slots)
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	return g, log
}

func stop(t *testing.T, g *Group) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	if t.Context().Err() != nil { // in a cleanup
		ctx, cancel = context.WithTimeout(context.Background(), 20*time.Second)
	}
	defer cancel()
	if err := g.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

// eventually waits for something outside to become true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: it has not come to that", what)
		}
	}
}

// untilState waits until the only slot is in state s, and returns its status.
// It is down only after a death.
func untilState(t *testing.T, g *Group, s State) Status {
	t.Helper()
	var st Status
	eventually(t, "state "+s.String(), func() bool {
		st = g.Status()[0]
		return st.State == s && (s != Down || st.Last != nil)
	})
	return st
}

// untilOutput waits until the process of the only slot has written a line that
// begins with prefix, and returns the rest of it.
func untilOutput(t *testing.T, g *Group, prefix string) (rest string) {
	t.Helper()
	eventually(t, "output "+prefix, func() bool {
		for _, line := range g.Status()[0].Output {
			if r, ok := strings.CutPrefix(line, prefix); ok {
				rest = r
				return true
			}
		}
		return false
	})
	return rest
}

// whoAnswers connects to a socket of an application that says its number.
func whoAnswers(t *testing.T, address string) string {
	t.Helper()
	c, err := net.Dial("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// taking returns the processes that take requests.
func taking(g *Group) []Member {
	ready, _, _ := g.news()
	return ready
}

// expecting returns what is known of the processes to come.
func expecting(g *Group) Outlook {
	_, o, _ := g.news()
	return o
}
