package gateway

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-gateway/sluice/static"
)

// What must never come out.
const (
	secret = "the secret outside the root"
	source = "<?php $password = 'hunter2';"
)

// tree makes a root such as people have, and a secret beside it.
func tree(t testing.TB) *static.Files {
	t.Helper()
	top := t.TempDir()
	for name, content := range map[string]string{
		"secret.txt":              secret,
		"secret.php":              source,
		"root/index.html":         "<p>start</p>",
		"root/a.txt":              "0123456789",
		"root/index.php":          source,
		"root/blog/index.php":     source,
		"root/blog/post.php":      source,
		"root/bare/a.txt":         "no index here",
		"root/dir.php/readme.txt": "a folder named like a script",
		"root/dir.php/index.html": "its index",
		"root/upload/x.jpg":       "an image",
		"root/upload/x.php.txt":   "text",
		"root/old/post.php.bak":   source,
		"root/old/post.php~":      source,
		"root/old/post.PHP":       source,
		"root/old/post.php.":      source,
		"root/old/post.php ":      source,
		"root/old/a.phtml":        source,
		"root/old/tool.cgi":       source,
		"root/.env":               source,
		"root/.git/config":        source,
		"root/data/pages.txt":     source,
		"root/a b.txt":            "a blank",
		"root/ü.txt":              "not ASCII",
		"root/app/file.txt":       "below a prefix",
	} {
		name = filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		"out.txt": "../secret.txt",
		"out.php": "../secret.php",
		"up":      "..",
		"in.php":  "blog/post.php",
	} {
		if err := os.Symlink(to, filepath.Join(top, "root", link)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := static.Open(filepath.Join(top, "root"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// compile is Compile for patterns that are right.
func compile(t testing.TB, pattern string) Match {
	t.Helper()
	m, err := Compile(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
