package spill

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// files counts our descriptors of files in dir, with a name or without.
func files(t *testing.T, dir string) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		// One of them was that of the folder, and is no more.
		if name, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(name, dir+"/") {
			n++
		}
	}
	return n
}

// stat tells about the file of q.
func stat(t *testing.T, f *os.File) *syscall.Stat_t {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t)
}

// A queue has a file when it needs one, and one only, until it is closed.
func TestDescriptors(t *testing.T) {
	dir := t.TempDir()
	s := &Store{Dir: dir, MaxMemory: 1}
	q := open(t, s, 10)
	want := func(when string, want int) {
		t.Helper()
		if n := files(t, dir); n != want {
			t.Errorf("%s, %d descriptors are open, want %d", when, n, want)
		}
	}
	write(t, q, piece(10))
	want("in memory", 0)
	write(t, q, piece(10))
	write(t, q, piece(10))
	want("with a file", 1)
	drain(t, q)
	write(t, q, piece(20))
	want("with a file, again", 1)
	q.Close()
	want("after Close", 0)
}

// Nobody else finds the file, and it goes when we do, however that is.
func TestUnlinked(t *testing.T) {
	tests := []struct {
		name string
		make func(dir string) (*os.File, error)
	}{
		{"as the system can", unnamed},
		{"as any system can", named},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			f, err := tt.make(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
				t.Errorf("ReadDir = %v, %v, want nothing there", names, err)
			}
			link := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
			if err := unix.Linkat(unix.AT_FDCWD, link, unix.AT_FDCWD, dir+"/name", unix.AT_SYMLINK_FOLLOW); err == nil {
				t.Error("the file was given a name")
			}
			st := stat(t, f)
			if st.Nlink != 0 || st.Mode != syscall.S_IFREG|0o600 {
				t.Errorf("the file has %d links and mode %o, want 0 and %o", st.Nlink, st.Mode, syscall.S_IFREG|0o600)
			}
			if n := files(t, dir); n != 1 {
				t.Errorf("%d descriptors are open, want 1", n)
			}
			if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor flags = %d, %v, want close-on-exec", flags, err)
			}
		})
	}
}

// The file of a stream whose reader never quite catches up does not grow, and
// the quota tells what it takes of the disk.
func TestLongStream(t *testing.T) {
	s := &Store{Dir: t.TempDir(), MaxMemory: 1, MaxFiles: punchStep + 3*bigBlock}
	q := open(t, s, 1)
	p := piece(bigBlock)
	write(t, q, p)
	if err := punch(q.file.f, punchStep, punchStep); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("holes cannot be made in " + s.Dir)
	}
	for i := range 20 * punchStep / bigBlock {
		p[0] = byte(i + 1)
		write(t, q, p)
		b, err := q.Next()
		if err != nil || len(b) != len(p) || b[0] != byte(i) && i > 0 || !bytes.Equal(b[1:], p[1:]) {
			t.Fatalf("piece %d: Next() = %d bytes, %v, want the piece", i, len(b), err)
		}
		if disk := stat(t, q.file.f).Blocks * 512; disk > s.Files()+page { // one for the file system's own
			t.Fatalf("piece %d: the file takes %d bytes of the disk, and Files() is %d", i, disk, s.Files())
		}
	}
	if q.Len() != bigBlock {
		t.Errorf("Len() = %d, want %d", q.Len(), bigBlock)
	}
	drain(t, q)
	if st := stat(t, q.file.f); st.Size != 0 || st.Blocks != 0 {
		t.Errorf("when all has been read the file has %d bytes and %d blocks, want 0 and 0", st.Size, st.Blocks)
	}
}

// Somebody who has cut the file off (by /proc/PID/fd, say) is noticed.
func TestReadFails(t *testing.T) {
	s := &Store{Dir: t.TempDir(), MaxMemory: 1}
	q := open(t, s, 1)
	write(t, q, piece(100))
	if err := q.file.f.Truncate(99); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b, err := q.Next()
		var failed *Error
		if !errors.As(err, &failed) || failed.Op != "read" || !errors.Is(err, io.ErrUnexpectedEOF) || len(b) != 0 {
			t.Fatalf("Next() = %d bytes, %v, want an *Error that wraps io.ErrUnexpectedEOF", len(b), err)
		}
		if q.Len() != 100 {
			t.Fatalf("Len() = %d, want 100 as before", q.Len())
		}
	}
}

// What a failed Write has left behind counts as long as it is there.
func TestRemainderCounts(t *testing.T) {
	s := &Store{Dir: t.TempDir(), MaxMemory: 1, MaxFiles: 4 * page}
	q := open(t, s, 1)
	write(t, q, piece(page))
	// It can be neither written nor truncated.
	readOnly, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", q.file.f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	writable := q.file.f
	defer writable.Close()
	q.file.f = readOnly
	defer readOnly.Close()
	if err := q.Write(piece(2 * page)); err == nil {
		t.Fatal("Write to a file that is only for reading = nil")
	}
	if s.Files() != 3*page {
		t.Errorf("Files() = %d with %d bytes that could not be cut off, want %d", s.Files(), 2*page, 3*page)
	}
	q.file.f = writable
	for _, n := range []int{page, page, page} {
		write(t, q, piece(n)) // over the remainder, and one page more
		if want := max(pages(q.Len()), 3*page); s.Files() != want {
			t.Errorf("Files() = %d with %d bytes in the queue, want %d", s.Files(), q.Len(), want)
		}
	}
}

func TestDirOfTheSystem(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	q := &Queue{Store: &Store{MaxMemory: 1}, Window: 1}
	defer q.Close()
	write(t, q, piece(10))
	if n := files(t, dir); n != 1 {
		t.Errorf("%d files in os.TempDir(), want 1", n)
	}
}
