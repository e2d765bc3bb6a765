package process

import (
	"os"
	"strings"
	"testing"
)

// byShell starts a shell only for what nobody else can say.
func TestByShell(t *testing.T) {
	tests := []struct {
		name     string
		listen   Listen
		umask    *os.FileMode
		setUmask bool
		want     []string // program and arguments
	}{
		{"nothing", OnDescriptor0, nil, true, []string{"/bin/app", "./app", "a b"}},
		{"umask set already", AlsoOnDescriptor3, umask(0o27), false, []string{"/bin/app", "./app", "a b"}},
		{"umask", AlsoOnDescriptor3, umask(0o27), true, []string{"/bin/sh", "/bin/sh", "-c", `umask 0027; exec "$0" "$@"`, "/bin/app", "a b"}},
		{"LISTEN_FDS", ListenFDs, nil, true, []string{"/bin/sh", "/bin/sh", "-c", `export LISTEN_PID=$$; exec "$0" "$@"`, "/bin/app", "a b"}},
		{"both", ListenFDs, umask(0), true, []string{"/bin/sh", "/bin/sh", "-c", `umask 0000; export LISTEN_PID=$$; exec "$0" "$@"`, "/bin/app", "a b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Spec{Args: []string{"./app", "a b"}, Listen: tt.listen, Isolation: Isolation{Umask: tt.umask}}
			program, args := s.byShell("/bin/app", tt.setUmask)
			if got := strings.Join(append([]string{program}, args...), "|"); got != strings.Join(tt.want, "|") {
				t.Errorf("byShell = %s, want %s", got, strings.Join(tt.want, "|"))
			}
		})
	}
}

func TestDescriptorName(t *testing.T) {
	tests := []struct{ in, want string }{
		{"api", "api"}, {"", ""}, {"a:b c/é\n", "a_b c/__"}, {strings.Repeat("x", 300), strings.Repeat("x", 255)},
	}
	for _, tt := range tests {
		if got := descriptorName(tt.in); got != tt.want {
			t.Errorf("descriptorName(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
