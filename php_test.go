package sluice

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/testpeer"
)

// A folder with a script is served by whatever PHP there is, with both.
func TestPHP(t *testing.T) {
	for name, program := range map[string]string{
		"php-fpm": testpeer.Need(t, "php-fpm*", "php-fpm"),
		"php-cgi": testpeer.Need(t, "php-cgi", "php-cgi"),
	} {
		t.Run(name, func(t *testing.T) {
			root := readable(t)
			write(t, root, "index.php", `<?php echo PHP_SAPI, " ", posix_geteuid(), " ", $_SERVER['PATH_INFO'] ?? '-', " ", getenv('SLUICE_TEST_SECRET') ?: 'clean';`)
			write(t, root, "upload.php", `<?php echo md5(file_get_contents('php://input'));`)
			write(t, root, "notice.php", `<?php error_log("a word from PHP"); http_response_code(404); echo "mine";`)
			t.Setenv("SLUICE_TEST_SECRET", "hunter2")
			cfg := Folder(root)
			cfg.Listen = []string{"127.0.0.1:0"}
			cfg.Backends[0].PHP = program
			g := start(t, cfg)
			answer := strings.Fields(g.get("/"))
			if len(answer) != 4 || answer[0] != map[string]string{"php-fpm": "fpm-fcgi", "php-cgi": "cgi-fcgi"}[name] || answer[1] == "0" || answer[3] != "clean" {
				t.Errorf("/ answers %q", answer)
			}
			if got := g.get("/index.php/x/y"); !strings.Contains(got, " /x/y ") {
				t.Errorf("PATH_INFO: %q", got)
			}
			if _, got, err := g.try("POST", "/upload.php", "abc"); got != "900150983cd24fb0d6963f7d28e17f72" || err != nil {
				t.Errorf("POST: %q, %v", got, err)
			}
			if status, got, err := g.try("GET", "/notice.php", ""); status != 404 || got != "mine" || err != nil {
				t.Errorf("a 404 of PHP's own: %d %q, %v", status, got, err)
			}
			if status, got, _ := g.try("GET", "/nothing.php", ""); status != 404 || strings.Contains(got, "Primary script") {
				t.Errorf("a script that is not there: %d %q", status, got)
			}
			await(t, "error_log comes to the log", func() bool { return strings.Contains(g.log.String(), "a word from PHP") })
			if err := g.end(); err != nil {
				t.Error(err)
			}
		})
	}
}

// readable makes a folder that PHP may read as whoever it runs.
func readable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Without PHP its scripts are not shown.
func TestFolderWithoutPHP(t *testing.T) {
	root := readable(t)
	write(t, root, "index.php", "<?php $secret;")
	write(t, root, "a.txt", "text")
	g := start(t, &config.Config{Root: root, Listen: []string{"127.0.0.1:0"}})
	for path, want := range map[string]int{"/a.txt": 200, "/": 404, "/index.php": 404, "/nothing": 404} {
		if status, content, err := g.try("GET", path, ""); status != want || err != nil || strings.Contains(content, "secret") {
			t.Errorf("%s: %d %q, %v, want %d", path, status, content, err, want)
		}
	}
}
