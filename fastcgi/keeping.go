package fastcgi

import "time"

// keeping is what is known of an application's keeping of connections that it
// was asked to keep. Some close after each reply all the same (uWSGI): a
// request that goes out on such a connection before the close is seen is lost.
type keeping struct {
	seen   bool      // one has stayed open
	closed int       // how many have been closed after their first answer
	again  time.Time // when an application that closes is asked once more
}

const (
	// closedAtOnce is how soon an application that closes after each reply
	// does that. A connection that is open for longer is kept. Once for each
	// application, a request that cannot be repeated waits for that long.
	closedAtOnce = 5 * time.Millisecond

	// closedOften is how many connections must be closed at once for the
	// application not to be asked any more, and askAgain for how long.
	closedOften = 3
	askAgain    = time.Minute
)

// ask reports whether the application is to be asked to keep the next
// connection, if we want that.
func (k *keeping) ask(want bool) bool {
	if !want || k.seen || k.closed < closedOften {
		return want
	}
	if time.Now().Before(k.again) {
		return false
	}
	k.again = time.Now().Add(askAgain)
	return true
}

// stamp returns since when c is idle, while that matters.
func (k *keeping) stamp(c *conn) time.Time {
	if c.answers.Load() > 1 {
		k.seen, k.closed = true, 0
	}
	if k.seen {
		return time.Time{}
	}
	return time.Now()
}

// doubt returns for how long a connection that is idle since then must still
// stay open to carry a request that cannot be repeated.
func (k *keeping) doubt(since time.Time) time.Duration {
	if k.seen || since.IsZero() {
		return 0
	}
	return max(closedAtOnce-time.Since(since), 0)
}

// closedByPeer notes that an idle connection was closed.
func (k *keeping) closedByPeer(c *conn) {
	if !k.seen && c.answers.Load() == 1 && (c.since.IsZero() || time.Since(c.since) < closedAtOnce) {
		k.closed++
		k.again = time.Now().Add(askAgain)
	}
}
