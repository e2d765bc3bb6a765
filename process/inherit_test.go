package process

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A process has the descriptors 0, 1 and 2, whatever we were started with, and 3
// if that is asked for.
func TestDescriptors(t *testing.T) {
	inherited, err := syscall.Dup(int(os.Stderr.Fd())) // has no close-on-exec flag
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(inherited)
	for how, want := range map[Listen]string{OnDescriptor0: "0 1 2", AlsoOnDescriptor3: "0 1 2 3", ListenFDs: "0 1 2 3"} {
		spec := script(`echo loaded; while :; do sleep 60; done`)
		spec.Listen = how
		g, _ := startGroup(t, spec, 1)
		untilOutput(t, g, "loaded")
		st := untilState(t, g, Ready)
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", st.PID))
		if err != nil {
			t.Fatal(err)
		}
		names, files := []string{}, map[string]string{}
		for _, e := range entries {
			names = append(names, e.Name())
			files[e.Name()], _ = os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", st.PID, e.Name()))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("descriptors %q, want %q", got, want)
		}
		if socket := files["0"]; !strings.HasPrefix(socket, "socket:") || how != OnDescriptor0 && files["3"] != socket {
			t.Errorf("descriptors %v, want the socket as 0 and, if at all, as 3", files)
		}
		if !strings.HasPrefix(files["1"], "pipe:") || files["2"] != files["1"] {
			t.Errorf("descriptors %v, want a pipe as 1 and 2", files)
		}
	}
}

func TestKeepOursOneByOne(t *testing.T) {
	fd, err := syscall.Dup(int(os.Stderr.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	keepOursOneByOne("/proc/self/fd")
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
	if errno != 0 || flags&syscall.FD_CLOEXEC == 0 {
		t.Errorf("flags of descriptor %d = %#x, %v, want close-on-exec", fd, flags, errno)
	}
}

// Our environment is not that of the processes.
func TestEnvironment(t *testing.T) {
	t.Setenv("PASSWORD", "secret")
	tests := []struct {
		name string
		env  []string
		want []string
	}{
		{"not given", nil, CleanEnv()},
		{"empty", []string{}, nil},
		{"given", []string{"A=b", "C="}, []string{"A=b", "C="}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, _ := startGroup(t, Spec{Name: "app", Args: []string{"/bin/sleep", "60"}, Env: tt.env}, 1)
			st := untilState(t, g, Ready)
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", st.PID))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for e := range strings.SplitSeq(strings.TrimSuffix(string(b), "\x00"), "\x00") {
				if e != "" {
					got = append(got, e)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("environment %q, want %q", got, tt.want)
			}
		})
	}
}

// A process runs in Dir under the name of its command, in its own process
// group.
func TestDirAndName(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/app", []byte("#!/bin/sh\necho \"in $PWD\"\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	g, _ := startGroup(t, Spec{Name: "app", Args: []string{"./app"}, Dir: dir}, 1)
	if got := untilOutput(t, g, "in "); got != dir {
		t.Errorf("it runs in %q, want %q", got, dir)
	}
	st := untilState(t, g, Ready)
	if pgid, err := syscall.Getpgid(st.PID); err != nil || pgid != st.PID {
		t.Errorf("process group %d, %v, want its own, %d", pgid, err, st.PID)
	}
}

// A process with a credential has that, and no group of ours, and can open
// its own output again.
func TestCredential(t *testing.T) {
	needRoot(t)
	spec := script(`echo again >/proc/self/fd/2; id -u; id -g; id -G; echo done; exec sleep 60`)
	spec.Credential = &Credential{UID: 12345, GID: 12346, Groups: []uint32{12347}}
	g, _ := startGroup(t, spec, 1)
	untilOutput(t, g, "done")
	if got, want := g.Status()[0].Output, []string{"again", "12345", "12346", "12346 12347", "done"}; !slices.Equal(got, want) {
		t.Errorf("it wrote %q, want %q", got, want)
	}
}
