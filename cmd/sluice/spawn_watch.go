package main

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
	// watchEvery is how often the files of --watch are looked at.
	watchEvery = time.Second

	// maxWatched bounds their number: a look at so many takes a tenth of a
	// second.
	maxWatched = 20000
)

// A stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
	mode     fs.FileMode
}

// stamps looks at the files at and below the paths. What begins with a dot in a
// folder is left out: editors and version control write there.
func stamps(paths []string) (map[string]stamp, error) {
	found := make(map[string]stamp)
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
			if len(found) > maxWatched {
				return fmt.Errorf("there are more than %d files below %s: watch less", maxWatched, path)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("--watch: %w", err)
		}
	}
	return found, nil
}

// watch sends on changed when files have changed, and then stayed as they are
// from one look to the next, until ctx is done: whoever saves ten files wants
// one restart. A look that fails, because a folder is being replaced, is as good
// as none.
func watch(ctx context.Context, paths []string, last map[string]stamp, changed chan<- struct{}) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	pending := false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now, err := stamps(paths)
		switch {
		case err != nil:
		case !maps.Equal(now, last):
			last, pending = now, true
		case pending:
			pending = false
			select {
			case changed <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}
}
