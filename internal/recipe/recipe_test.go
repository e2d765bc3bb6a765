package recipe

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/testpeer"
)

// A process that is replaced may take its time for what it has: requests have
// bounds of their own, and a minute would cut off a download.
func TestDrainHasNoLimit(t *testing.T) {
	spec, err := specOf(config.Backend{Name: "app", Command: []string{"/bin/true"}})
	if err != nil || spec.DrainTimeout >= 0 {
		t.Errorf("DrainTimeout = %v, %v, want no limit", spec.DrainTimeout, err)
	}
}

// What keeps PHP from starting is found before it is started, and nothing is
// left behind.
func TestCheckLooksAtPHP(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	cgi, fpm := testpeer.Need(t, "php-cgi", "php-cgi"), testpeer.Need(t, "php-fpm*", "php-fpm")
	tests := []struct {
		name string
		b    config.Backend
		want string // "": nothing is wrong
	}{
		{"php-fpm", config.Backend{PHP: fpm, Processes: config.Processes{MaxAge: time.Hour}}, ""},
		{"php-cgi", config.Backend{PHP: cgi, Processes: config.Processes{MaxAge: time.Hour, MaxMemory: 1 << 30}}, ""},
		{"max_memory of php-fpm", config.Backend{PHP: fpm, Processes: config.Processes{MaxMemory: 1 << 30}}, "processes.max_memory"},
		{"chroot of php-fpm", config.Backend{PHP: fpm, Chroot: dir}, "chroot"},
		{"php-fpm's own variable", config.Backend{PHP: fpm, Env: map[string]string{"FPM_SOCKETS": "/x=3"}}, "env.FPM_SOCKETS"},
		{"an account that is not there", config.Backend{PHP: fpm, As: config.Account{User: "nobody-there"}}, `no user "nobody-there"`},
		{"a group that is not there", config.Backend{PHP: cgi, As: config.Account{User: "nobody", Group: "nobody-there"}}, `no group "nobody-there"`},
		{"a program that is not there", config.Backend{PHP: "/nonexistent/php-fpm"}, "/nonexistent/php-fpm"},
		{"a limit that cannot be", config.Backend{PHP: cgi, Limits: map[string]string{"nofile": "99999999999"}}, "nofile"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.b.Name = "php"
			err := Check(tt.b, dir)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("%v, want no problem", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%v, want one about %s", err, tt.want)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
