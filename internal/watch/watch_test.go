package watch

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// A restart follows a change that is over, and what is hidden does not count.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "")
	write("sub/b", "")
	first, err := Look([]string{dir})
	if err != nil || len(first) != 2 {
		t.Fatalf("%d files, %v, want 2", len(first), err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		changed := make(chan struct{}, 9)
		go Watch(ctx, []string{dir}, first, func() { changed <- struct{}{} })
		seen := func(want int, after string) {
			t.Helper()
			time.Sleep(10 * every)
			if len(changed) != want {
				t.Fatalf("%s: %d restarts, want %d", after, len(changed), want)
			}
		}
		time.Sleep(every / 2) // what is written between two looks is not seen by half
		seen(0, "nothing")
		write("sub/b", "1")
		seen(1, "a file written")
		write(".git/index", "1")
		write(".a.swp", "1")
		seen(1, "hidden files written")
		write("c", "1")
		time.Sleep(every)
		write("c", "12")
		seen(2, "a file written twice in a row")
		if err := os.Remove(filepath.Join(dir, "c")); err != nil {
			t.Fatal(err)
		}
		seen(3, "a file removed")
		cancel()
	})
	if _, err := Look([]string{filepath.Join(dir, "none")}); err == nil {
		t.Errorf("what is not there: %v, want an error", err)
	}
}
