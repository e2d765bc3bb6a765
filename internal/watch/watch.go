// Package watch looks whether files have changed, for developers: by looking at
// them again and again, which works everywhere, also where the kernel tells
// nobody (network file systems, containers' mounts).
package watch

import (
	"context"
	"log/slog"
	"maps"
	"time"
)

const (
	// every is how often the files are looked at, and share how much of the
	// time that may take at the most: 1 of share.
	every = 250 * time.Millisecond
	share = 20

	// patience is how long changes that do not stop are waited for.
	patience = 5 * time.Second

	// most bounds their number: a look at so many takes a tenth of a second.
	most = 20000
)

// Files are the files at and below some paths.
type Files struct {
	Paths []string

	// Except are files that do not count, with what logrotate makes of them:
	// those that we, and not the developer, write. Our standard output and
	// standard error, if they are files, are such files anyway.
	Except []string

	Log *slog.Logger // hears of looks that fail; may be nil
}

// Watch calls changed when files are not as they were at the look first, and then
// stayed as they are from one look to the next, until ctx is done: whoever saves
// ten files wants one restart. Where changes do not stop it is called after a
// while all the same. A look that fails, because a folder is being replaced, is
// as good as none.
func (f *Files) Watch(ctx context.Context, first Stamps, changed func()) {
	next := time.NewTimer(every)
	defer next.Stop()
	s := seen{last: first}
	var failed error
	for {
		select {
		case <-next.C:
		case <-ctx.Done():
			return
		}
		begin := time.Now()
		now, err := f.Look()
		took := time.Since(begin) // and not what changed takes: that may be until a program has failed to start
		if f.tell(failed, err); err == nil && s.see(now, begin) {
			changed()
		}
		failed = err
		next.Reset(max(every, share*took))
	}
}

// tell logs the first of several looks in a row that failed, and that it works
// again.
func (f *Files) tell(before, now error) {
	switch {
	case f.Log == nil:
	case before == nil && now != nil:
		f.Log.Warn("changes of files are not seen", slog.Any("err", now))
	case before != nil && now == nil:
		f.Log.Info("changes of files are seen again")
	}
}

// A seen is what has been seen of the files.
type seen struct {
	last  Stamps
	since time.Time // when the changes began that changed has not been called for; zero if there are none
}

// see takes note of a look, and reports whether it is time to call changed.
func (s *seen) see(now Stamps, at time.Time) bool {
	same := maps.Equal(now, s.last)
	s.last = now
	if s.since.IsZero() {
		if !same {
			s.since = at
		}
		return false
	}
	if same || at.Sub(s.since) >= patience {
		s.since = time.Time{}
		return true
	}
	return false
}
