package sluice

import (
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/testpeer"
)

func TestNewestPHP(t *testing.T) {
	tests := []struct {
		programs []string
		want     string // among those called php-fpm*
	}{
		{nil, ""},
		{[]string{"php-cgi", "php-fpm-notes", "php-fpmx"}, ""},
		{[]string{"php-fpm"}, "php-fpm"},
		{[]string{"php-fpm8.2", "php-fpm"}, "php-fpm"}, // what the distribution prefers
		{[]string{"php-fpm7.4", "php-fpm8.2", "php-fpm5.6"}, "php-fpm8.2"},
		{[]string{"php-fpm8.9", "php-fpm8.10"}, "php-fpm8.10"},
		{[]string{"php-fpm8.2", "php-fpm8.3-notes"}, "php-fpm8.2"},
		{[]string{"php-fpm82", "php-fpm81"}, "php-fpm82"}, // Alpine
	}
	for _, tt := range tests {
		dir := t.TempDir()
		for _, p := range tt.programs {
			if err := os.WriteFile(filepath.Join(dir, p), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		want := tt.want
		if want != "" {
			want = filepath.Join(dir, want)
		}
		if got := newest([]string{"/nonexistent", dir}, "php-fpm"); got != want {
			t.Errorf("of %q: %q, want %q", tt.programs, got, want)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "php-fpm"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := newest([]string{dir}, "php-fpm"); got != "" {
		t.Errorf("found %q, which cannot be run", got)
	}
}

// Root does not run PHP as root.
func TestPHPAccount(t *testing.T) {
	dir := t.TempDir()
	if os.Geteuid() != 0 {
		if u, err := phpAccount(dir); u != nil || err != nil {
			t.Errorf("account %v, %v, want none: we cannot change it", u, err)
		}
		return
	}
	if u, err := phpAccount(dir); err != nil || u.Uid == "0" {
		t.Errorf("for a folder of root: %v, %v, want an account that is not root's", u, err)
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if u, err := phpAccount(dir); err != nil || u.Uid != nobody.Uid {
		t.Errorf("for a folder of nobody: %v, %v", u, err)
	}
}

func TestClosedTo(t *testing.T) {
	top := readable(t)
	root := filepath.Join(top, "a", "b")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	other := &user.User{Uid: "12345", Gid: "12345"}
	if dir := closedTo(root, other); dir != "" {
		t.Errorf("%s is closed, want nothing", dir)
	}
	if err := os.Chmod(filepath.Join(top, "a"), 0o750); err != nil {
		t.Fatal(err)
	}
	if dir := closedTo(root, other); dir != filepath.Join(top, "a") {
		t.Errorf("%q is closed, want %s/a", dir, top)
	}
	ours := &user.User{Uid: strconv.Itoa(os.Getuid()), Gid: "12345"}
	if dir := closedTo(root, ours); dir != "" {
		t.Errorf("%s is closed to its owner", dir)
	}
	group := &user.User{Uid: "12345", Gid: strconv.Itoa(os.Getgid())}
	if dir := closedTo(root, group); dir != "" {
		t.Errorf("%s is closed to its group", dir)
	}
}

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

func TestListenErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for spec, want := range map[string]string{
		l.Addr().String(): "in use",
		"192.0.2.1:80":    "192.0.2.1:80",
		"fd:99":           "not a listening socket",
		"nonsense":        "sluice: listen",
	} {
		if l, err := new(Server).openListener(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("listen on %s: %v, want %q", spec, err, want)
			if l != nil {
				l.Close()
			}
		}
	}
}

func TestURL(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:80": "http://127.0.0.1:80/",
		"0.0.0.0:8080": "http://localhost:8080/",
		"[::]:8080":    "http://localhost:8080/",
		"[::1]:8080":   "http://[::1]:8080/",
	} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := URL(a); got != want {
			t.Errorf("URL(%s) = %s, want %s", addr, got, want)
		}
	}
}
