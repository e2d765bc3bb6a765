package recipe

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/scale"
	"github.com/sluice-gateway/sluice/internal/testpeer"
)

// What php-fpm is told of its processes, and that it takes that.
func TestFPMProcesses(t *testing.T) {
	program := testpeer.Need(t, "php-fpm*", "php-fpm")
	few := mostProcesses(config.Backend{PHP: program})
	account, err := phpAccount(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		p    config.Processes
		want []string
	}{
		{"always as many", config.Processes{Max: 3}, []string{"pm = static", "pm.max_children = 3"}},
		{"on demand", config.Processes{Max: 3, Scales: true},
			[]string{"pm = ondemand", "pm.process_idle_timeout = 60s", "pm.max_children = 3"}},
		{"on demand, and they stay", config.Processes{Max: 3, Scales: true, IdleTimeout: -1},
			[]string{"pm = dynamic", "pm.start_servers = 1", "pm.min_spare_servers = 1", "pm.max_spare_servers = 3", "pm.max_children = 3"}},
		{"some, and they stay", config.Processes{Min: 2, Max: 5, Scales: true, IdleTimeout: -1},
			[]string{"pm = dynamic", "pm.start_servers = 2", "pm.min_spare_servers = 1", "pm.max_spare_servers = 5", "pm.max_children = 5"}},
		{"some", config.Processes{Min: 2, Max: 5, Scales: true},
			[]string{"pm = dynamic", "pm.start_servers = 2", "pm.min_spare_servers = 1", "pm.max_spare_servers = 2", "pm.max_children = 5"}},
		{"spare ones", config.Processes{Min: 1, Max: 5, Spare: 3, Scales: true},
			[]string{"pm = dynamic", "pm.start_servers = 3", "pm.min_spare_servers = 3", "pm.max_spare_servers = 3", "pm.max_children = 5"}},
		{"more spare ones than there may be", config.Processes{Min: 1, Max: 2, Spare: 3, Scales: true},
			[]string{"pm = dynamic", "pm.start_servers = 2", "pm.min_spare_servers = 2", "pm.max_spare_servers = 2", "pm.max_children = 2"}},
		{"more spare ones than there are by default", config.Processes{Spare: few + 1, Scales: true},
			[]string{"pm = dynamic", fmt.Sprintf("pm.start_servers = %d", few+1), fmt.Sprintf("pm.min_spare_servers = %d", few+1),
				fmt.Sprintf("pm.max_spare_servers = %d", few+1), fmt.Sprintf("pm.max_children = %d", few+1)}},
		{"more than there are by default", config.Processes{Min: few + 1, Scales: true},
			[]string{"pm = static", fmt.Sprintf("pm.max_children = %d", few+1)}},
		{"bounds", config.Processes{Max: 1, MaxRequests: 7, HungTimeout: 90 * time.Second},
			[]string{"pm = static", "pm.max_children = 1", "pm.max_requests = 7", "request_terminate_timeout = 90s"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config.Backend{PHP: program, Processes: tt.p}
			if got := strings.Split(strings.TrimSpace(fpmProcesses(cfg)), "\n"); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
			file := filepath.Join(t.TempDir(), "php-fpm.conf")
			if err := os.WriteFile(file, []byte(fpmConfig(cfg, account)), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if out, err := exec.CommandContext(ctx, program, "--test", "--fpm-config", file).CombinedOutput(); err != nil {
				t.Errorf("php-fpm does not take it: %v\n%s", err, out)
			}
		})
	}
}

// php-fpm runs its processes in the group that is configured.
func TestFPMGroup(t *testing.T) {
	program := testpeer.Need(t, "php-fpm*", "php-fpm")
	cfg := config.Backend{Name: "php", PHP: program, As: config.Account{User: "nobody", Group: "12345"}}
	r, err := Of(cfg, t.TempDir(), t.TempDir())
	if err != nil || !strings.Contains(r.content, "\nuser = 65534\ngroup = 12345\n") {
		t.Errorf("%v, configuration\n%s", err, r.content)
	}
}

// However many processes php-fpm has, it is one for us, which we leave alone.
func TestFPMRule(t *testing.T) {
	fpm := testpeer.Need(t, "php-fpm*", "php-fpm")
	t.Setenv("FPM_SOCKETS", "/other=4")
	cfg := config.Backend{Name: "php", PHP: fpm, CopyEnv: []string{"FPM_SOCKETS"},
		Processes: config.Processes{Min: 1, Max: 5, Spare: 2, Scales: true, IdleTimeout: time.Hour, MaxRequests: 100, HungTimeout: time.Minute}}
	r, err := Of(cfg, t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Rule(cfg), (scale.Rule{Min: 1, Max: 1, Per: 5, Idle: time.Hour}); got != want || !got.Fixed() {
		t.Errorf("rule = %+v, want %+v", got, want)
	}
	if r.MaxRequests != 0 || r.HungTimeout != 0 {
		t.Errorf("it is for us to look after: %d requests, %v", r.MaxRequests, r.HungTimeout)
	}
	told := 0
	for _, e := range r.Spec.Env {
		if strings.HasPrefix(e, "FPM_SOCKETS=") {
			told++
		}
	}
	if last := r.Spec.Env[len(r.Spec.Env)-1]; told != 1 || last != "FPM_SOCKETS=/dev/null/php-fpm=3" {
		t.Errorf("environment %q, want one FPM_SOCKETS", r.Spec.Env)
	}
}
