package sluice

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/testpeer"
)

// effectPHP starts a php-fpm, whose socket is for nobody else; and as many
// requests get to it as it has processes, so that others wait here, where a
// limit is.
func effectPHP(t *testing.T) {
	runtimes := runtimes(t)
	g := startPHP(t, testpeer.Need(t, "php-fpm*", "php-fpm"))
	if got := g.get("/sapi.php"); got != "fpm-fcgi" {
		t.Errorf("answered by %q, want fpm-fcgi", got)
	}
	sockets, _ := filepath.Glob(filepath.Join(runtimes, "sluice-*", "*.sock"))
	if len(sockets) != 1 {
		t.Fatalf("sockets of php-fpm: %q, want one", sockets)
	}
	if info, err := os.Stat(sockets[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v, %v, want 0600", info.Mode(), err)
	}
	phpIsBusy(t, g)
}

// php-cgi serves one request at a time.
func TestPHPCGIQueue(t *testing.T) {
	phpIsBusy(t, startPHP(t, testpeer.Need(t, "php-cgi", "php-cgi")))
}

// php-cgi is looked after like any other program: one that has served enough is
// replaced, and one that hangs is ended.
func TestPHPCGIIsLookedAfter(t *testing.T) {
	program := testpeer.Need(t, "php-cgi", "php-cgi")
	root := readable(t)
	write(t, root, "pid.php", `<?php echo getmypid();`)
	write(t, root, "hang.php", `<?php set_time_limit(0); while (true) { sleep(60); }`)
	cfg := Folder(root)
	cfg.Listen = []string{"127.0.0.1:0"}
	cfg.Backends[0].PHP = program
	cfg.Backends[0].Processes = config.Processes{Max: 1, MaxRequests: 5, HungTimeout: time.Second}
	g := start(t, cfg)
	first := g.get("/pid.php")
	await(t, "another process answers", func() bool { return g.get("/pid.php") != first })
	if r := <-g.ask("/hang.php"); r.status != 502 || g.count("process aborted") != 1 {
		t.Errorf("a script that hangs: %v, %d processes aborted, want 502, 1", r, g.count("process aborted"))
	}
}

// startPHP runs a Server with one process of PHP.
func startPHP(t *testing.T, program string) *rig {
	t.Helper()
	root := readable(t)
	write(t, root, "sapi.php", `<?php echo PHP_SAPI;`)
	write(t, root, "hold.php", `<?php echo str_repeat("-", 65536); flush(); while (!file_exists($_SERVER["QUERY_STRING"])) { usleep(10000); clearstatcache(); }`)
	g := start(t, &config.Config{
		Listen: []string{"127.0.0.1:0"}, Root: root,
		Backends: []config.Backend{{
			Name: "php", PHP: program, Processes: config.Processes{Max: 1},
			Queue: config.Queue{Timeout: 300 * time.Millisecond},
		}},
		Routes: []config.Route{{Path: "*.php", Backend: "php"}},
	})
	for range 100 { // PHP may need longer to start than a request may wait
		if status, _, _ := g.try("GET", "/sapi.php", ""); status != 503 {
			break
		}
	}
	return g
}

// phpIsBusy holds the only process and wants the next request to be refused.
func phpIsBusy(t *testing.T, g *rig) {
	t.Helper()
	file := filepath.Join(readable(t), "go")
	resp, err := g.client.Get(URL(g.s.Addrs()[0]) + "hold.php?" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	(<-g.ask("/sapi.php")).busy(t)
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); resp.StatusCode != 200 || n != 65536 || err != nil {
		t.Errorf("the request that was held: %d with %d bytes, %v", resp.StatusCode, n, err)
	}
}

// The environment that is said reaches the scripts, whichever PHP runs them.
func TestPHPEnv(t *testing.T) {
	for name, program := range map[string]string{
		"php-fpm": testpeer.Need(t, "php-fpm*", "php-fpm"),
		"php-cgi": testpeer.Need(t, "php-cgi", "php-cgi"),
	} {
		t.Run(name, func(t *testing.T) {
			root := readable(t)
			write(t, root, "env.php", `<?php echo getenv("SLUICE_TEST_VALUE"), getenv("FPM_SOCKETS"), `+"`echo $FPM_SOCKETS`"+`;`)
			g := start(t, &config.Config{
				Listen: []string{"127.0.0.1:0"}, Root: root,
				Backends: []config.Backend{{Name: "php", PHP: program, Env: map[string]string{"SLUICE_TEST_VALUE": "a value"}}},
				Routes:   []config.Route{{Path: "*.php", Backend: "php"}},
			})
			if got := g.get("/env.php"); got != "a value\n" { // and nothing that is not for it
				t.Errorf("env is %q in the script, want %q", got, "a value\n")
			}
		})
	}
}

// What a script does after its answer is finished before php-fpm ends.
func TestPHPFPMFinishes(t *testing.T) {
	g := startPHP(t, testpeer.Need(t, "php-fpm*", "php-fpm"))
	root := g.s.current.Load().cfg.Root
	if err := os.Chmod(root, 0o777); err != nil {
		t.Fatal(err)
	}
	write(t, root, "late.php", `<?php echo "early"; fastcgi_finish_request(); $end = microtime(true) + 0.5; while (microtime(true) < $end) { usleep(1000); } file_put_contents(__DIR__ . "/late", "x");`)
	if got := g.get("/late.php"); got != "early" {
		t.Errorf("answered %q", got)
	}
	if err := g.end(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(root, "late")); err != nil {
		t.Errorf("the script was ended before its end: %v\n%s", err, g.log)
	}
}

// runtimes makes a folder for the folders of sockets.
func runtimes(t *testing.T) string {
	t.Helper()
	dir := readable(t)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	return dir
}

// The folder of a backend's sockets goes with the backend: at a reload that
// changes it, and at the end.
func TestSocketFolders(t *testing.T) {
	dir := runtimes(t)
	folders := func() []string {
		found, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	g := start(t, oneApp(t, 1))
	first := folders()
	if len(first) != 1 {
		t.Fatalf("folders: %q, want one", first)
	}
	if info, err := os.Stat(first[0]); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v, %v, want 0700", info.Mode(), err)
	}
	if err := g.s.Reload(oneApp(t, 1, "CHANGED")); err != nil {
		t.Fatal(err)
	}
	await(t, "the old folder is removed", func() bool {
		now := folders()
		return len(now) == 1 && now[0] != first[0]
	})
	cfg := oneApp(t, 1)
	cfg.Backends[0].Command = []string{"/nonexistent"}
	if err := g.s.Reload(cfg); err == nil {
		t.Error("no error for a program that is not there")
	}
	if now := folders(); len(now) != 1 {
		t.Errorf("after a reload that failed: %q, want one folder", now)
	}
	if err := g.end(); err != nil {
		t.Error(err)
	}
	if now := folders(); len(now) != 0 {
		t.Errorf("after the end: %q, want none", now)
	}
}
