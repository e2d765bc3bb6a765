package process

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// verify finds out what differs, and whoever differs does not live.
func TestVerify(t *testing.T) {
	st := parseStatus([]byte("Name:\tx\nUmask:\t0022\nUid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8\nGroups:\t9 10 \nNoNewPrivs:\t0\n"))
	mixed := parseStatus([]byte("Uid:\t7\t0\t7\t7\nGid:\t8\t8\t8\t8\nGroups:\t\n"))
	cred := func(uid, gid uint32, groups ...uint32) *Credential { return &Credential{uid, gid, groups} }
	tests := []struct {
		name string
		has  status
		c    *Credential
		want Isolation
		text string
	}{
		{"nothing asked", st, nil, Isolation{}, ""},
		{"all as asked", st, cred(7, 8, 10, 9), Isolation{Umask: umask(0o22)}, ""},
		{"user", st, cred(6, 8, 10, 9), Isolation{}, "its user is 7 7 7 7, not 6"},
		{"one of the users", mixed, cred(7, 8), Isolation{}, "its user is 7 0 7 7, not 7"},
		{"group", st, cred(7, 7, 10, 9), Isolation{}, "its group is 8 8 8 8, not 7"},
		{"a group too many", st, cred(7, 8, 10), Isolation{}, "its groups are [9 10], not [10]"},
		{"a group too few", st, cred(7, 8, 9, 10, 11), Isolation{}, "its groups are [9 10], not [9 10 11]"},
		{"privileges", st, nil, Isolation{NoNewPrivs: true}, "it may get new privileges"},
		{"umask", st, nil, Isolation{Umask: umask(0o27)}, "its umask is 0022, not 0027"},
		{"no ids at all", status{}, cred(7, 8), Isolation{}, "its user is , not 7"},
		{"an old kernel", status{}, nil, Isolation{NoNewPrivs: true, Umask: umask(0)}, ""},
	}
	for _, tt := range tests {
		if got := tt.has.differs(tt.c, tt.want); got != tt.text {
			t.Errorf("%s: differs = %q, want %q", tt.name, got, tt.text)
		}
	}
	root := t.TempDir()
	for _, tt := range []struct {
		name string
		want Isolation
		text string
	}{
		{"as we are", Isolation{Chroot: "/"}, ""},
		{"root", Isolation{Chroot: root}, "its root is not " + root + " (<nil>)"},
		{"niceness", Isolation{Nice: 19}, "its niceness is 0 (<nil>), not 19"},
		{"limit", Isolation{Limits: []Limit{{"cpu", 5, 6}}}, "its limit is cpu=unlimited:unlimited, not cpu=5:6 (<nil>)"},
	} {
		if got := tt.want.differs(os.Getpid()); got != tt.text {
			t.Errorf("%s: differs = %q, want %q", tt.name, got, tt.text)
		}
	}
}

// A process that is not what was asked for is killed before it does anything.
func TestVerifyKills(t *testing.T) {
	needRoot(t)
	made := filepath.Join(t.TempDir(), "made")
	spec := script(": >" + made)
	spec.Credential = &Credential{UID: nobody, GID: nobody}
	var p *os.Process
	var failed *startError
	thread := newThread()
	defer thread.close()
	thread.do(func() {
		attr := &os.ProcAttr{Files: []*os.File{nil, os.Stdout, os.Stderr}, Sys: attributes(&spec)}
		attr.Sys.Credential.Uid = 12345 // as if somebody had interfered
		p, failed = spec.begin(shell, attr)
	})
	want := "it was killed, for its user is 12345 12345 12345 12345, not 65534: something changes what we ask for: a security module, or a user namespace"
	if p != nil || failed == nil || failed.Error() != want {
		t.Errorf("begin = %v, %v, want %s", p, failed, want)
	}
	if _, err := os.Stat(made); err == nil {
		t.Error("it has run")
	}
	if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("a child is left: %v", err)
	}
}
