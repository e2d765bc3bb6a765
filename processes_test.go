package sluice

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/testpeer"
)

func TestMostProcesses(t *testing.T) {
	cpus := runtime.NumCPU()
	php := max(4, 2*cpus)
	tests := []struct {
		name string
		php  string
		p    config.Processes
		want int
	}{
		{"as it is said", "", config.Processes{Max: 3}, 3},
		{"as it is said, of PHP", "auto", config.Processes{Max: 1}, 1},
		{"one for each CPU", "", config.Processes{}, cpus},
		{"of PHP twice as many", "auto", config.Processes{}, php},
		{"at least min", "", config.Processes{Min: cpus + 1, Scales: true}, cpus + 1},
		{"at least min, of PHP", "auto", config.Processes{Min: php + 1, Scales: true}, php + 1},
		{"at least spare", "", config.Processes{Spare: cpus + 1, Scales: true}, cpus + 1},
		{"at least spare, of PHP", "auto", config.Processes{Min: 1, Spare: php + 2, Scales: true}, php + 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := mostProcesses(config.Backend{PHP: tt.php, Processes: tt.p}); got != tt.want {
				t.Errorf("mostProcesses = %d, want %d", got, tt.want)
			}
		})
	}
}

// A process that is replaced may take its time for what it has: requests have
// bounds of their own, and a minute would cut off a download.
func TestDrainHasNoLimit(t *testing.T) {
	spec, err := specOf(config.Backend{Name: "app", Command: []string{"/bin/true"}})
	if err != nil || spec.DrainTimeout >= 0 {
		t.Errorf("DrainTimeout = %v, %v, want no limit", spec.DrainTimeout, err)
	}
}

// Of two processes the one that has something to do stays.
func TestScaleDownEndsTheIdleOne(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		c.Backends[0].MaxLoad = 1
		c.Backends[0].Processes = config.Processes{Min: 1, Max: 2, Scales: true, IdleTimeout: 500 * time.Millisecond}
	})
	g.get("/")
	hold := func() (file string, resp *http.Response) {
		file = filepath.Join(t.TempDir(), "go")
		resp, err := g.client.Get(URL(g.s.Addrs()[0]) + "hold?" + file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return file, resp
	}
	file, oldest := hold()
	lastFile, youngest := hold() // at the second process, which is started for it
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	idle, err := io.ReadAll(oldest.Body)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "one of two is ended", func() bool { return g.count("process drains") > 0 })
	if line := g.log.With("process drains")[0]; !strings.Contains(line, "pid="+string(idle)) {
		t.Errorf("process %s is idle, and the one with a request is ended: %s", idle, line)
	}
	if err := os.WriteFile(lastFile, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(youngest.Body); err != nil {
		t.Error(err)
	}
}

// What keeps PHP from starting is found before it is started, and nothing is
// left behind.
func TestCheckLooksAtPHP(t *testing.T) {
	dir := runtimes(t)
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
		{"an account that is not there", config.Backend{PHP: fpm, As: config.Account{User: "nobody-there"}}, `no user "nobody-there"`},
		{"a group that is not there", config.Backend{PHP: cgi, As: config.Account{User: "nobody", Group: "nobody-there"}}, `no group "nobody-there"`},
		{"a program that is not there", config.Backend{PHP: "/nonexistent/php-fpm"}, "/nonexistent/php-fpm"},
		{"a limit that cannot be", config.Backend{PHP: cgi, Limits: map[string]string{"nofile": "99999999999"}}, "nofile"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.b.Name = "php"
			problems := Check(&config.Config{Root: dir, Backends: []config.Backend{tt.b}})
			switch {
			case tt.want == "" && len(problems) > 0:
				t.Errorf("%v, want none", problems)
			case tt.want != "" && (len(problems) != 1 || !strings.Contains(problems[0].Error(), tt.want)):
				t.Errorf("%v, want one about %s", problems, tt.want)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
