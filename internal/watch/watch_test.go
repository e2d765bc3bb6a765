package watch

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/internal/testlog"
)

// write writes a file, and makes its folder.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// look looks at files that are there.
func (f *Files) look(t *testing.T) Stamps {
	t.Helper()
	s, err := f.Look()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A restart follows a change that is over, and what is hidden does not count.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("a"), "")
	write(t, at("sub/b"), "")
	f := &Files{Paths: []string{dir}}
	first := f.look(t)
	if len(first) != 2 {
		t.Fatalf("%d files, want 2", len(first))
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		changed := make(chan struct{}, 9)
		go f.Watch(ctx, first, func() { changed <- struct{}{} })
		seen := func(want int, after string) {
			t.Helper()
			time.Sleep(10 * every)
			if len(changed) != want {
				t.Fatalf("%s: %d restarts, want %d", after, len(changed), want)
			}
		}
		time.Sleep(every / 2) // what is written between two looks is not seen by half
		seen(0, "nothing")
		write(t, at("sub/b"), "1")
		seen(1, "a file written")
		write(t, at(".git/index"), "1")
		write(t, at(".a.swp"), "1")
		seen(1, "hidden files written")
		write(t, at("c"), "1")
		time.Sleep(every)
		write(t, at("c"), "12")
		seen(2, "a file written twice in a row")
		if err := os.Remove(at("c")); err != nil {
			t.Fatal(err)
		}
		seen(3, "a file removed")
		cancel()
	})
	if _, err := (&Files{Paths: []string{at("none")}}).Look(); err == nil {
		t.Errorf("what is not there: %v, want an error", err)
	}
}

// Changes that do not stop, as of a build that writes and writes, are answered
// after patience, and again after as long.
func TestWatchDoesNotWaitForEver(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	write(t, file, "")
	f := &Files{Paths: []string{dir}}
	first := f.look(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var restarts atomic.Int32
		go f.Watch(ctx, first, func() { restarts.Add(1) })
		time.Sleep(every / 2)
		for i := range 2 * int((patience+2*every)/every) {
			write(t, file, strconv.Itoa(1000+i))
			time.Sleep(every)
		}
		if n := restarts.Load(); n != 2 {
			t.Errorf("%d restarts in twice %v of changes, want 2", n, patience)
		}
	})
}

// A restart takes as long as the program needs to start, or to fail at that. What
// is saved meanwhile, or then, is seen as soon as at any other time: looking has
// cost nothing.
func TestWatchLooksSoonAfterSlowRestart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "app.py")
	write(t, file, "")
	f := &Files{Paths: []string{dir}}
	first := f.look(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		restarted := make(chan time.Time, 9)
		go f.Watch(ctx, first, func() {
			time.Sleep(30 * time.Second)
			restarted <- time.Now()
		})
		time.Sleep(every / 2)
		write(t, file, "a mistake")
		saved := <-restarted
		write(t, file, "corrected")
		if again := <-restarted; again.Sub(saved) > 30*time.Second+5*every {
			t.Errorf("what is saved after a restart of 30s has been carried out after %v", again.Sub(saved))
		}
	})
}

// A look that fails is said, once, and so is that it works again; what has
// changed meanwhile is seen then.
func TestWatchSaysThatItIsBlind(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	write(t, filepath.Join(sub, "a"), "1")
	var log testlog.Buffer
	f := &Files{Paths: []string{sub}, Log: log.Logger()}
	first := f.look(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var restarts atomic.Int32
		go f.Watch(ctx, first, func() { restarts.Add(1) })
		time.Sleep(every / 2)
		said := func(lost, again, times int, when string) {
			t.Helper()
			time.Sleep(5 * every)
			if l, a := len(log.With("changes of files are not seen", sub)), len(log.With("seen again")); l != lost || a != again || int(restarts.Load()) != times {
				t.Errorf("%s: said %d times that it is blind, %d that it sees, %d restarts, want %d, %d, %d", when, l, a, restarts.Load(), lost, again, times)
			}
		}
		if err := os.Rename(sub, sub+"2"); err != nil {
			t.Fatal(err)
		}
		said(1, 0, 0, "the folder is gone")
		if err := os.Rename(sub+"2", sub); err != nil {
			t.Fatal(err)
		}
		said(1, 1, 0, "it is back")
		if err := os.Rename(sub, sub+"2"); err != nil {
			t.Fatal(err)
		}
		said(2, 1, 0, "it is gone again")
		write(t, filepath.Join(sub, "a"), "22")
		said(2, 2, 1, "there is another one")
	})
}

// The path may be a link to a folder, as deployments have it, and the link may
// be led elsewhere.
func TestLookAtLinkedFolder(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("one/app.pl"), "1")
	write(t, at("two/app.pl"), "1")
	write(t, at("data/x"), "1")
	for link, to := range map[string]string{"current": "one", "next": "two", "one/data": "../data"} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	f := &Files{Paths: []string{at("current")}}
	was := f.look(t)
	differs := func(want bool, after string) {
		t.Helper()
		if now := f.look(t); maps.Equal(was, now) == want {
			t.Errorf("%s is seen: %v, want %v; %d files", after, !want, want, len(now))
		}
		was = f.look(t)
	}
	write(t, at("one/app.pl"), "22")
	differs(true, "a file changed")
	write(t, at("data/x"), "22")
	differs(false, "a file changed in a folder that a link in the folder leads to")
	if err := os.Rename(at("next"), at("current")); err != nil {
		t.Fatal(err)
	}
	differs(true, "the link led elsewhere")
}

// A file in the place of another, with its size and time (cp -p, rsync -t), and
// one that was written and set back.
func TestLookSeesWhatLooksTheSame(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "app.pl")
	write(t, file, "aaaa")
	old, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	f := &Files{Paths: []string{dir}}
	for name, change := range map[string]func(){
		"renamed over": func() {
			next := filepath.Join(t.TempDir(), "next")
			write(t, next, "bbbb")
			if err := os.Chtimes(next, old.ModTime(), old.ModTime()); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(next, file); err != nil {
				t.Fatal(err)
			}
		},
		"written in place": func() {
			write(t, file, "cccc")
			if err := os.Chtimes(file, old.ModTime(), old.ModTime()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		was := f.look(t)
		if change(); maps.Equal(was, f.look(t)) {
			t.Errorf("%s: it is not seen", name)
		}
	}
}

// What we write ourselves does not count, and neither do sockets: else each
// restart would bring the next one.
func TestLookLeavesOut(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("app/log"), "1")
	write(t, at("app/app.pl"), "1")
	if err := os.Symlink("app", at("link")); err != nil {
		t.Fatal(err)
	}
	// However the two are spelt.
	f := &Files{Paths: []string{at("link")}, Except: []string{at("app/log"), at("link/app"), at("none/x")}}
	was := f.look(t)
	same := func(want bool, after string) {
		t.Helper()
		if now := f.look(t); maps.Equal(was, now) != want {
			t.Errorf("%s: %v, want the same: %v", after, now, want)
		}
		was = f.look(t)
	}
	write(t, at("app/log"), "22")
	write(t, at("app/log.1"), "1")
	write(t, at("app/log-20240101.gz"), "1")
	write(t, at("app/app"), "1234")
	if err := syscall.Mkfifo(at("app/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	same(true, "our own files, and a pipe")
	write(t, at("app/app.pl"), "22")
	same(false, "a file whose name begins as that of ours")
	write(t, at("app/logger"), "1")
	same(false, "another one")
}

func TestLookRefusesTooMany(t *testing.T) {
	if testing.Short() {
		t.Skip("makes many files")
	}
	dir := t.TempDir()
	for i := range most + 1 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (&Files{Paths: []string{dir}}).Look(); err == nil {
		t.Errorf("%d files: no error", most+1)
	}
}
