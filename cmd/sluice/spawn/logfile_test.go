package spawn

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// A log that logrotate has taken away is begun anew.
func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	synctest.Test(t, func(t *testing.T) {
		l, err := openLogFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { l.file.Close() }()
		l.Write([]byte("1\n"))
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		l.Write([]byte("2\n"))
		time.Sleep(time.Second)
		l.Write([]byte("3\n"))
		old, err1 := os.ReadFile(path + ".1")
		now, err2 := os.ReadFile(path)
		if string(old) != "1\n2\n" || string(now) != "3\n" {
			t.Errorf("%q, %v and %q, %v, want what came within a second in the first", old, err1, now, err2)
		}
	})
}
