package static

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const secret = "the secret outside the root"

var written = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// tree makes a root with a bit of everything in it, and a secret beside it.
func tree(t testing.TB) *Files {
	t.Helper()
	top := t.TempDir()
	root := filepath.Join(top, "root")
	for name, content := range map[string]string{
		"secret.txt":                        secret,
		"root/index.html":                   "<p>start</p>",
		"root/a.txt":                        "0123456789",
		"root/README":                       "<html>not a page</html>",
		"root/empty.css":                    "",
		"root/docs/index.html":              "<p>docs</p>",
		"root/docs/a b.txt":                 "space",
		"root/bare/a.txt":                   "no index here",
		"root/dir.php/readme.txt":           "a folder named like a script",
		"root/upload/x.jpg":                 "<?php not an image ?>",
		"root/blog/index.php":               "<?php blog ?>",
		"root/.env":                         "PASSWORD=hunter2",
		"root/.git/config":                  "[core]",
		"root/docs/.htaccess":               "Deny",
		"root/.well-known/security.txt":     "Contact:",
		"root/.well-known/.hidden":          "hidden",
		"root/.well-known-not/a.txt":        "hidden",
		"root/docs/.well-known/a.txt":       "only at the top",
		"root/real/deep/er/file.txt":        "deep",
		"root/old.txt":                      "of a reproducible image",
		"root/\xff\xfe.txt":                 "not UTF-8",
		"root/ünï.txt":                      "UTF-8",
		"root/unreadable.txt":               "mode 000",
		"root/locked/a.txt":                 "mode 000 above",
		"root/upload/a.php.txt":             "text",
		"root/nowhere.d/.well-known/a.html": "hidden",
	} {
		write(t, filepath.Join(top, name), content)
	}
	for link, to := range map[string]string{
		"out.txt":      "../secret.txt",
		"out-abs.txt":  filepath.Join(top, "secret.txt"),
		"out-dir":      "..",
		"in.txt":       "a.txt",
		"in-dir":       "real/deep",
		"in-up.txt":    "docs/../a.txt",
		"loop-a":       "loop-b",
		"loop-b":       "loop-a",
		"dangling.txt": "nothing.txt",
		"zero":         "/dev/zero",
	} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1, 0)
	if err := os.Chtimes(filepath.Join(root, "old.txt"), at, at); err != nil {
		t.Fatal(err)
	}
	f, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, written, written); err != nil {
		t.Fatal(err)
	}
}
