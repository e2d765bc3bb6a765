package process

import (
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-gateway/sluice/internal/testpeer"
)

// Of a process that has limits the advice says so, and how to have them by
// hand.
func TestAdviceOnLimits(t *testing.T) {
	with := func(limits ...Limit) Spec { return Spec{Args: []string{"/app"}, Isolation: Isolation{Limits: limits}} }
	cpu, fsize, as := Limit{"cpu", 1, 2}, Limit{"fsize", 0, 0}, Limit{"as", 1000, Unlimited}
	jailed := with(as)
	jailed.Isolation.Chroot, jailed.Dir = "/jail", "/srv"
	const byHand = "run it by hand to see more: prlimit --as=1000:unlimited /app"
	tests := []struct {
		name   string
		spec   Spec
		status syscall.WaitStatus // as wait(2) on Linux: signal | code << 8
		want   string
	}{
		{"CPU time", with(as, cpu), 24, "its CPU time is used up (limit cpu=1:2, in seconds): raise that, or see what it computes"},
		{"CPU time, by our own limit", with(as), 24, "its CPU time is used up (a limit of ours, in seconds): raise that, or see what it computes"},
		{"CPU time, the hard limit", with(cpu), 9,
			"its CPU time may be used up (limit cpu=1:2, in seconds), or somebody killed it, or the kernel did because memory ran out (dmesg says so)"},
		{"killed", with(as), 9, "somebody killed it, or the kernel did because memory ran out (dmesg says so)"},
		{"file size", with(fsize), 25, "it wrote more to a file than it may (limit fsize=0:0, in bytes): raise that, or see what it writes"},
		{"file size, by our own limit", with(as), 25, "it wrote more to a file than it may (a limit of ours, in bytes): raise that, or see what it writes"},
		{"crash", with(as), 11, "the application, or a library in it, has a bug, or too little room in its limits (as=1000:unlimited): " + byHand},
		{"loader", with(as, fsize), 127 << 8,
			"127 is a loader's word for a library that it could not load, be it for its limits (as=1000:unlimited, fsize=0:0), " +
				"or a shell's for a command that it did not find; run it by hand to see more: prlimit --as=1000:unlimited --fsize=0:0 /app"},
		{"failure", with(as), 1 << 8, "its last lines say why; " + byHand},
		{"in a chroot", jailed, 1 << 8, "its last lines say why; run it by hand to see more: prlimit --as=1000:unlimited chroot /jail /app"},
		{"a shell's command", with(), 139 << 8,
			"139 is a shell's word for a command that was killed by SIGSEGV (segmentation fault); run it by hand to see more: /app"},
		{"status 255", with(), 255 << 8, "its last lines say why; run it by hand to see more: /app"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.spec.advice(tt.status, false); got != tt.want {
				t.Errorf("advice(%#x) = %q, want %q", tt.status, got, tt.want)
			}
		})
	}
}

// What is to be typed works: every limit is an option of prlimit.
func TestPrlimitTakesEveryLimit(t *testing.T) {
	if len(ourPowers().hard) == 0 {
		t.Skip("there are no limits here")
	}
	prlimit := testpeer.Need(t, "prlimit", "util-linux")
	help, err := exec.Command(prlimit, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range ourPowers().hard {
		if !slices.Contains(strings.Fields(string(help)), "--"+name) {
			t.Errorf("prlimit has no option --%s", name)
		}
	}
	line := (&Isolation{Limits: []Limit{{"nofile", 64, 128}, {"core", 0, 0}}}).prlimit() + "sh -c 'ulimit -n; ulimit -Hn; ulimit -c'"
	if out, err := exec.Command("/bin/sh", "-c", line).Output(); err != nil || string(out) != "64\n128\n0\n" {
		t.Errorf("%s: %q, %v", line, out, err)
	}
}
