package process

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/sluice-gateway/sluice/internal/listen"
)

func TestQueued(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s, err := bind(path, listen.Rights{Mode: 0o600, UID: -1, GID: -1}, 16)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for n := range 3 {
		if got := s.queued(); got != n {
			t.Errorf("%d connections wait, want %d", got, n)
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	l, err := net.FileListener(s.file)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if c, err := l.Accept(); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	if got := s.queued(); got != 2 {
		t.Errorf("%d connections wait, want 2", got)
	}
}
