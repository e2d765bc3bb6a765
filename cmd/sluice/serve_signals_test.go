package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A served is a gateway that runs as a program, with one application.
type served struct {
	*program
	t                 *testing.T
	dir, file, socket string
}

// serveOne runs a gateway with a command, written as in the file.
func serveOne(t *testing.T, command string, more ...string) *served {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &served{t: t, dir: dir, socket: filepath.Join(dir, "http"), file: filepath.Join(dir, "sluice.toml")}
	s.configure(command, more...)
	s.program = startLogged(bounded(t), t, nil, browserTest, "serve", "-v", "-c", s.file)
	t.Cleanup(func() { // the last one, whoever that is
		syscall.Kill(s.main(), syscall.SIGTERM)
	})
	return s
}

func (s *served) configure(command string, more ...string) {
	s.t.Helper()
	text := "listen = [\"127.0.0.1:0\", \"unix:" + s.socket + "\"]\n[backend.app]\ncommand = " + command +
		"\n" + strings.Join(more, "\n") + "\n[[route]]\nbackend = \"app\"\n"
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *served) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *served) says(text string) {
	s.t.Helper()
	await(s.t, "the log says "+text, func() bool { return strings.Contains(s.log.String(), text) })
}

// answers wants an answer, over TCP and over the unix socket.
func (s *served) answers() {
	s.t.Helper()
	if why := ask(http.DefaultClient, s.url+"status?200"); why != "" {
		s.t.Errorf("GET: %s", why)
	}
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		s.t.Error(err)
		return
	}
	c.Close()
}

const (
	good = `["worker", "fd:0"]`
	slow = `["/bin/sh", "-c", "sleep 2; exec worker fd:0"]`
	deaf = `["/bin/sleep", "60"]` // takes no requests, for longer than any test waits
)

// A successor that does not come up, for whatever reason, changes nothing.
func TestSuccessorFails(t *testing.T) {
	for name, change := range map[string]func(*served){
		"no configuration": func(s *served) { os.WriteFile(s.file, []byte("nonsense"), 0o600) },
		"no such user":     func(s *served) { s.configure(good, `user = "nobody-there"`) },
		"no application":   func(s *served) { s.configure(`["/bin/false"]`) },
		"deaf application": func(s *served) { s.configure(deaf, `processes.start_timeout = "200ms"`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveOne(t, good)
			change(s)
			s.signal(syscall.SIGUSR2)
			s.says("successor failed, this process goes on")
			s.answers()
		})
	}
}

// A successor gets the listeners when its application takes requests.
func TestSuccessorIsWarm(t *testing.T) {
	t.Parallel()
	s := serveOne(t, slow, `queue.timeout = "500ms"`)
	s.says("process ready")
	s.signal(syscall.SIGUSR2)
	for client := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}); !strings.Contains(s.log.String(), "handed over"); {
		if why := ask(client, s.url+"status?200"); why != "" {
			t.Fatalf("while its successor starts: %s", why)
		}
	}
	s.answers()
}

// An end does not wait for a reload or a successor whose processes do not come up.
func TestEndDoesNotWait(t *testing.T) {
	for name, order := range map[string]syscall.Signal{"reload": syscall.SIGHUP, "successor": syscall.SIGUSR2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveOne(t, good, "processes.max = 1")
			s.says("process ready")
			s.configure(deaf, "processes.max = 1", `processes.start_timeout = "10m"`)
			for range 20 { // more than a queue of signals holds
				s.signal(order)
			}
			await(t, "the order is being carried out", func() bool { return strings.Count(s.log.String(), "process started") > 1 })
			s.signal(syscall.SIGTERM)
			if <-s.done; s.err != nil {
				t.Errorf("it ended with %v", s.err)
			}
			s.says(name + " given up")
			if _, err := os.Lstat(s.socket); !os.IsNotExist(err) {
				t.Errorf("its socket: %v, want none", err)
			}
		})
	}
}

// The end that follows a succession by itself is no signal: the first one lets
// requests go on.
func TestTermAfterSuccession(t *testing.T) {
	t.Parallel()
	s := serveOne(t, good)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	came := make(chan error, 1)
	go func() { // its client waits until leave
		r, err := http.NewRequestWithContext(ctx, "GET", s.url+"hang", nil)
		if err == nil {
			_, err = http.DefaultClient.Do(r)
		}
		came <- err
	}()
	await(t, "the request is with the application", func() bool { _, err := os.Lstat(filepath.Join(s.dir, "hang.sock")); return err == nil })
	s.signal(syscall.SIGUSR2)
	s.says("handed over, draining")
	s.signal(syscall.SIGTERM)
	s.says("msg=draining signal=terminated") // and not that it ends at once
	leave()
	if err := <-came; !errors.Is(err, context.Canceled) {
		t.Errorf("a request under way was cut: %v", err)
	}
}

// An order that comes while a successor starts is carried out by that one.
func TestOrderBehindSuccession(t *testing.T) {
	t.Parallel()
	s := serveOne(t, slow, "processes.max = 1")
	s.says("process ready")
	s.signal(syscall.SIGUSR2)
	await(t, "the successor has read its configuration", func() bool { return strings.Count(s.log.String(), "process started") == 2 })
	s.configure(good, "processes.max = 1", "[[route]]", `path = "/denied/"`, "deny = true")
	s.signal(syscall.SIGHUP)
	s.says("signal passed on")
	s.says("configuration reloaded")
	if why := ask(http.DefaultClient, s.url+"denied/x"); !strings.HasPrefix(why, "403") {
		t.Errorf("the new route answers %q, want 403", why)
	}
}
