package process

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/testpeer"
)

// phpWithChildren returns a Spec of php-cgi with three children.
func phpWithChildren(php string) Spec {
	return Spec{Name: "php", Args: []string{php}, Env: CleanEnv("PHP_FCGI_CHILDREN=3")}
}

func init() {
	moreParts["php"] = func() error { // starts it, and says its number
		spec := phpWithChildren(os.Getenv("PHP"))
		g, err := NewGroup(spec, 1, os.Getenv("TMPDIR"))
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
	}
}

// membersOf returns how many processes of a group live.
func membersOf(pgid int) (n int) {
	for _, p := range everyProcess() {
		if p.group == pgid && !p.gone() {
			n++
		}
	}
	return n
}

// The children of php-cgi, which nobody but their parent ends, end with us.
func TestChildrenOfPHPDieWithUs(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = CleanEnv(childMode+"=php", "PHP="+testpeer.Need(t, "php-cgi", "php-cgi"), "TMPDIR="+shortDir(t))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid := number(t, line)
	defer syscall.Kill(-pid, syscall.SIGKILL)
	eventually(t, "three children", func() bool { return membersOf(pid) == 4 })
	cmd.Process.Kill()
	eventually(t, "the end of all", func() bool { return membersOf(pid) == 0 })
}

// A request that a child of php-cgi has is answered, although its parent is gone
// at the first signal.
func TestChildrenOfPHPFinish(t *testing.T) {
	php := testpeer.Need(t, "php-cgi", "php-cgi")
	for _, how := range []string{"stop", "restart", "asked by others"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			// sleep() would end with the signal.
			text := `<?php touch(__DIR__."/began"); for ($end = microtime(true)+0.7; microtime(true) < $end;); echo "finished";`
			if err := os.WriteFile(dir+"/slow.php", []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			g, _ := startGroup(t, phpWithChildren(php), 1)
			st := untilState(t, g, Ready)
			eventually(t, "three children", func() bool { return membersOf(st.PID) == 4 })
			nc := connect(t, g.places[0].slot.sock.path)
			nc.SetDeadline(time.Now().Add(20 * time.Second))
			sendRequest(t, nc, dir+"/slow.php")
			eventually(t, "the beginning", func() bool { _, err := os.Stat(dir + "/began"); return err == nil })
			switch how {
			case "stop":
				go g.Stop(t.Context())
			case "restart":
				go g.Restart(t.Context())
			case "asked by others":
				syscall.Kill(st.PID, syscall.SIGTERM)
			}
			if b, err := io.ReadAll(nc); !strings.Contains(string(b), "finished") {
				t.Errorf("the answer is %q, %v", b, err)
			}
			nc.Close() // which it waits for
			eventually(t, "the end", func() bool { return membersOf(st.PID) == 0 })
		})
	}
}

// sendRequest sends a FastCGI request for a script.
func sendRequest(t *testing.T, nc net.Conn, script string) {
	t.Helper()
	var b []byte
	record := func(kind byte, content string) {
		b = append(b, 1, kind, 0, 1)
		b = binary.BigEndian.AppendUint16(b, uint16(len(content)))
		b = append(append(b, 0, 0), content...)
	}
	var params string
	for _, p := range [][2]string{{"SCRIPT_FILENAME", script}, {"REQUEST_METHOD", "GET"}, {"REDIRECT_STATUS", "200"}} {
		params += string([]byte{byte(len(p[0])), byte(len(p[1]))}) + p[0] + p[1]
	}
	record(1, "\x00\x01\x00\x00\x00\x00\x00\x00") // BEGIN_REQUEST, a responder
	record(4, params)
	record(4, "")
	record(5, "")
	if _, err := nc.Write(b); err != nil {
		t.Fatal(err)
	}
}
