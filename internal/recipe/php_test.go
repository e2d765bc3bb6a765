package recipe

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
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
	top, err := os.MkdirTemp("", "s") // and not t.TempDir, in a folder that is closed to others
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(top)
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
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
