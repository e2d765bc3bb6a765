package testpeer

import (
	"os"
	"path/filepath"
	"testing"
)

// DokuWiki copies a DokuWiki into dir, which it makes if it is not there. It
// has no users and lets everybody write. dir/wiki is the document root;
// dir/conf and dir/data must be writable by PHP.
//
// The files are those that tools/install-dokuwiki has put into its cache, or
// into the folder that SLUICE_DOKUWIKI names.
func DokuWiki(t testing.TB, dir string) {
	t.Helper()
	from := os.Getenv("SLUICE_DOKUWIKI")
	if from == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		from = filepath.Join(cache, "sluice-test", "dokuwiki")
	}
	if _, err := os.Stat(filepath.Join(from, "complete")); err != nil {
		missing(t, "DokuWiki in "+from, "dokuwiki with tools/install-dokuwiki")
	}
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
