package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A program that is held has done nothing yet, and is not held any more when it
// has been let go.
func TestHold(t *testing.T) {
	made := filepath.Join(t.TempDir(), "made")
	spec := script("")
	spec.Isolation.NoNewPrivs = true
	thread := newThread()
	defer thread.close()
	thread.do(func() {
		attr := &os.ProcAttr{Files: []*os.File{nil, os.Stdout, os.Stderr}, Sys: attributes(&spec)}
		p, held, err := spec.hold("/bin/sh", []string{"sh", "-c", ": >" + made}, attr)
		if err != nil || !held {
			t.Errorf("hold = %v, %v, want it held", held, err)
			return
		}
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid))
		if s, _ := parseStat(stat); s.state != 't' {
			t.Errorf("its state is %c, want t, stopped by a debugger", s.state)
		}
		if _, err := os.Stat(made); err == nil {
			t.Error("it has run")
		}
		if err := syscall.PtraceDetach(p.Pid); err != nil {
			t.Error(err)
		}
		if state, err := p.Wait(); err != nil || !state.Success() {
			t.Errorf("it ended with %v, %v", state, err)
		}
		if _, err := os.Stat(made); err != nil {
			t.Error("it has not run after it was let go")
		}
	})
}

// deny makes system calls on this thread, and in all that it starts, end as the
// action says (seccomp(2)), as containers and systemd do.
func deny(t *testing.T, action uint32, calls ...uint32) {
	t.Helper()
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // the call's number
	for _, nr := range calls {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: nr},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0); err != nil {
		t.Errorf("no filter: %v", err)
	}
}

// dropCapabilities takes some of root's rights from this thread.
func dropCapabilities(t *testing.T, numbers ...int) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	err := unix.Capget(&header, &data[0])
	for _, n := range numbers {
		data[n/32].Effective &^= 1 << (n % 32)
		data[n/32].Permitted &^= 1 << (n % 32)
	}
	if err = errors.Join(err, unix.Capset(&header, &data[0])); err != nil {
		t.Error(err)
	}
}

// A program that the kernel kills while it puts it in its place was never
// started.
func TestDiesInExec(t *testing.T) {
	b, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	if unsafe.Sizeof(0) != 8 || len(b) < 64 {
		t.Skip("this is not a 64-bit machine")
	}
	// All its segments shall lie where nothing can.
	for n := range int(binary.NativeEndian.Uint16(b[56:])) {
		segment := b[int(binary.NativeEndian.Uint64(b[32:]))+56*n:]
		if binary.NativeEndian.Uint32(segment) == 1 {
			binary.NativeEndian.PutUint64(segment[16:], 0xffff<<48)
		}
	}
	path := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	spec := Spec{Name: "app", Args: []string{path}, Isolation: Isolation{NoNewPrivs: true}}
	g, _ := startGroup(t, spec, 1)
	eventually(t, "a failed start", func() bool { return g.Status()[0].Last != nil })
	want := "not started: the command " + path + ": killed by SIGSEGV (segmentation fault) before it began"
	if last := g.Status()[0].Last; last.Reason != want || last.PID != 0 {
		t.Errorf("exit = %q, pid %d, want %q", last.Reason, last.PID, want)
	}
}

// Where we are kept from debugging, or from having a umask for one thread, the
// process is what was asked for all the same.
func TestForbidden(t *testing.T) {
	needRoot(t)
	const notPermitted = unix.SECCOMP_RET_ERRNO | uint32(syscall.EPERM)
	root := newChroot(t, "/bin/sleep")
	tests := []struct {
		name string
		deny func(t *testing.T)
	}{
		{"nothing", func(*testing.T) {}},
		{"no ptrace", func(t *testing.T) { deny(t, notPermitted, unix.SYS_PTRACE) }},
		{"death for ptrace", func(t *testing.T) { deny(t, unix.SECCOMP_RET_KILL_PROCESS, unix.SYS_PTRACE) }},
		{"no unshare", func(t *testing.T) { deny(t, notPermitted, unix.SYS_UNSHARE) }},
		{"neither", func(t *testing.T) { deny(t, notPermitted, unix.SYS_UNSHARE, unix.SYS_PTRACE) }},
		{"as in a container", func(t *testing.T) {
			dropCapabilities(t, unix.CAP_SYS_RESOURCE, unix.CAP_SYS_PTRACE, unix.CAP_SYS_NICE, unix.CAP_SYS_ADMIN)
			deny(t, notPermitted, unix.SYS_UNSHARE)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			thread := newThread()
			defer thread.close()
			thread.do(func() { tt.deny(t) })
			spec := Spec{Name: "app", Args: []string{"/bin/sleep", "60"}, Credential: &Credential{UID: nobody, GID: nobody},
				Isolation: Isolation{Chroot: root, Umask: umask(0o27), Nice: 3, NoNewPrivs: true, Limits: []Limit{{"nofile", 50, 60}}}}
			sock := openSocket(t, Socket{Address: "127.0.0.1:0"}, nil)
			c, failed := launch(&spec, thread, sock, slog.New(slog.DiscardHandler))
			if failed != nil {
				t.Fatal(failed)
			}
			defer func() { c.kill(); <-c.exited }()
			want := []string{"Groups", "NoNewPrivs 1", "Uid 65534 65534 65534 65534", "Umask 0027"}
			var got []string
			eventually(t, "its program", func() bool {
				name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", c.pid))
				got = statusOf(t, c.pid, "Groups", "NoNewPrivs", "Uid", "Umask")
				return string(name) == "sleep\n"
			})
			for i := range got {
				got[i] = strings.TrimSpace(got[i])
			}
			if !slices.Equal(got, want) {
				t.Errorf("status %q, want %q", got, want)
			}
			if got := limitsOf(t, c.pid, "Max open files"); !slices.Equal(got, []string{"Max open files 50 60"}) {
				t.Errorf("limits %q", got)
			}
			if got, err := os.Readlink(fmt.Sprintf("/proc/%d/root", c.pid)); got != root {
				t.Errorf("its root is %s, %v, want %s", got, err, root)
			}
			if n, _ := niceness(c.pid); n != 3 {
				t.Errorf("niceness %d, want 3", n)
			}
			args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", c.pid))
			if got := strings.HasPrefix(string(args), "/bin/sleep\x00"); !got {
				t.Errorf("arguments %q", args)
			}
		})
	}
}
