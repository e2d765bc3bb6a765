package process

import (
	"os"
	"path/filepath"
	"testing"
)

// Processes that share a socket all answer there, whoever ends, and it is gone
// with the group.
func TestSharedSocket(t *testing.T) {
	path := filepath.Join(shortDir(t), "public")
	spec := self("serve")
	spec.Socket = Socket{Address: "unix:" + path, Mode: 0o660, UID: -1, GID: -1}
	g, _ := startGroup(t, spec, 2)
	eventually(t, "two are ready", func() bool { ready := taking(g); return len(ready) == 2 })
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket: %v, %v", info.Mode(), err)
	}
	ready := taking(g)
	if ready[0].Address != path || ready[1].Address != path {
		t.Errorf("members = %v", ready)
	}
	whoAnswers(t, path)
	if err := g.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.Want(1)
	eventually(t, "one is left", func() bool { return len(g.Status()) == 1 })
	whoAnswers(t, path)
	stop(t, g)
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket after the end: %v", err)
	}
}

func TestSharedSocketRefused(t *testing.T) {
	for name, spec := range map[string]Spec{
		"no address": {Args: []string{"/bin/true"}, Socket: Socket{Mode: 0o600}},
		"no folder":  {Args: []string{"/bin/true"}, Socket: Socket{Address: "unix:/nonexistent/s"}},
	} {
		if _, err := NewGroup(spec, 1, ""); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
