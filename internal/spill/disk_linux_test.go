package spill

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// diskEnv names the folder where a child is to mount a disk of its own.
const diskEnv = "SPILL_TEST_DISK"

// onDisk runs a test in a child that has a file system for it. The child has
// mounts of its own, which go with it; for that it needs to be root, if only in
// a user namespace.
func onDisk(t *testing.T, fstype, options string, test func(t *testing.T, dir string)) {
	if dir := os.Getenv(diskEnv); dir != "" {
		if err := unix.Mount(fstype, dir, fstype, 0, options); err != nil {
			t.Skipf("mount %s: %v", fstype, err)
		}
		test(t, dir)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	// Without GORACE a child with the race detector takes a second to exit.
	child.Env = append(os.Environ(), diskEnv+"="+t.TempDir(), "GORACE=atexit_sleep_ms=0")
	child.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // makes them private, too
	if uid := os.Getuid(); uid != 0 {
		child.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{HostID: uid, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
	}
	out, err := child.CombinedOutput()
	switch {
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOSPC): // no more namespaces
		t.Skipf("no mount namespace: %v", err)
	case bytes.Contains(out, []byte("--- SKIP: "+t.Name())):
		t.Skipf("child:\n%s", out)
	case err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())):
		t.Errorf("child: %v\n%s", err, out)
	}
}

// What does not fit on the disk is not taken, and leaves nothing there.
func TestDiskFull(t *testing.T) {
	onDisk(t, "tmpfs", "size=1m", func(t *testing.T, dir string) {
		s := &Store{Dir: dir, MaxMemory: 1}
		q := open(t, s, 10)
		for range 2 {
			want := piece(10)
			write(t, q, want)
			p := piece(300 << 10) // the fourth does not fit, but for a part of it
			for range 3 {
				write(t, q, p)
				want = append(want, p...)
			}
			for range 2 {
				err := q.Write(p)
				var failed *Error
				if !errors.As(err, &failed) || failed.Op != "write" || failed.Dir != dir || !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("Write to a full disk = %#v, want an *Error that wraps ENOSPC", err)
				}
				size := stat(t, q.file.f).Size
				if size != 900<<10 || s.Files() != 900<<10 {
					t.Fatalf("after a failed Write, the file has %d bytes and Files() is %d, want %d", size, s.Files(), 900<<10)
				}
			}
			write(t, q, piece(1<<10)) // this does fit
			want = append(want, piece(1<<10)...)
			if got := drain(t, q); !bytes.Equal(got, want) {
				t.Fatalf("%d bytes came out, want the %d that went in", len(got), len(want))
			}
		}
	})
}

// Where holes cannot be made nothing is given back before the reader has caught
// up: the quota counts what is on the disk, and not what is unread.
func TestNoHoles(t *testing.T) {
	onDisk(t, "ramfs", "", func(t *testing.T, dir string) {
		s := &Store{Dir: dir, MaxMemory: 1, MaxFiles: 2 * punchStep}
		q := open(t, s, 1)
		write(t, q, piece(bigBlock))
		for size := 2 * bigBlock; size <= 2*punchStep; size += bigBlock {
			write(t, q, piece(bigBlock))
			if _, err := q.Next(); err != nil {
				t.Fatal(err)
			}
			if s.Files() != int64(size) {
				t.Fatalf("Files() = %d with a file of %d bytes", s.Files(), size)
			}
		}
		if err := q.Write(piece(1)); !errors.Is(err, ErrFull) {
			t.Errorf("Write = %v, want ErrFull", err)
		}
		if got := drain(t, q); !bytes.Equal(got, piece(bigBlock)) {
			t.Errorf("%d bytes came out, want the last piece", len(got))
		}
		if s.Files() != 0 {
			t.Errorf("Files() = %d when the reader has caught up, want 0", s.Files())
		}
	})
}
