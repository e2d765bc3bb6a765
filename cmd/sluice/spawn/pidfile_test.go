package spawn

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestPIDFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pid")
	text := func() string {
		b, err := os.ReadFile(path)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	open := func() *pidFile {
		t.Helper()
		p, err := openPIDFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := open()
	if err := p.write(123456); err != nil || text() != "123456" {
		t.Errorf("write: %v, %q", err, text())
	}
	second := open() // another one, which fails
	if second.close(); text() != "123456" {
		t.Errorf("after one that failed: %q, want what was there", text())
	}
	third := open()
	if err := third.write(77); err != nil || text() != "77" {
		t.Errorf("write over a longer number: %v, %q", err, text())
	}
	if third.close(); !strings.Contains(text(), "no such file") {
		t.Errorf("after the end: %q, want no file", text())
	}
	fourth := open()
	if err := os.Rename(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if fourth.close(); text() != "other" {
		t.Errorf("another's file: %q, want it to stay", text())
	}
	var none *pidFile
	if err := none.write(1); err != nil {
		t.Error(err)
	}
	none.close()

	link := filepath.Join(dir, "link")
	if err := os.Symlink("pid", link); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for bad, want := range map[string]string{
		dir: "PID-file exists and isn't regular file", link: "isn't regular file", pipe: "isn't regular file",
		dir + "/none/pid": "failed: No such file or directory",
	} {
		if _, err := openPIDFile(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", bad, err, want)
		}
	}
}
