// Package watch looks whether files have changed, for developers: by looking at
// them again and again, which works everywhere, also where the kernel tells
// nobody (network file systems, containers' mounts).
package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// every is how often the files are looked at, and share how much of the
	// time that may take at the most: 1 of share.
	every = 250 * time.Millisecond
	share = 20

	// most bounds their number: a look at so many takes a tenth of a second.
	most = 20000
)

// Stamps are the states of files.
type Stamps map[string]stamp

// A stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
	mode     fs.FileMode
}

// Look looks at the files at and below the paths. What begins with a dot in a
// folder is left out: editors and version control write there.
func Look(paths []string) (Stamps, error) {
	found := make(Stamps)
	for _, path := range paths {
		err := filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist) && at != path:
				return nil // it has just gone
			case err != nil:
				return err
			case at != path && strings.HasPrefix(d.Name(), "."):
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			case d.IsDir():
				return nil // what is in it counts
			}
			info, err := os.Stat(at)
			if err != nil {
				return nil // a link to nowhere, or it has just gone
			}
			found[at] = stamp{info.ModTime(), info.Size(), info.Mode()}
			if len(found) > most {
				return fmt.Errorf("there are more than %d files below %s: watch less", most, path)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Watch calls changed when files are not as they were at the look first, and then
// stayed as they are from one look to the next, until ctx is done: whoever saves
// ten files wants one restart. A look that fails, because a folder is being
// replaced, is as good as none.
func Watch(ctx context.Context, paths []string, first Stamps, changed func()) {
	next := time.NewTimer(every)
	defer next.Stop()
	last, pending := first, false
	for {
		select {
		case <-next.C:
		case <-ctx.Done():
			return
		}
		begin := time.Now()
		now, err := Look(paths)
		switch {
		case err != nil:
		case !maps.Equal(now, last):
			last, pending = now, true
		case pending:
			pending = false
			changed()
		}
		next.Reset(max(every, share*time.Since(begin)))
	}
}
