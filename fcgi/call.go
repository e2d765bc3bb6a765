package fcgi

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A call is one call of the handler, and the context of its request. Goroutines
// that a handler leaves behind may go on using the request as long as they
// like, while what it was made of serves the next one (see cgi.Handler). So
// the call has its own copy of the params, and when it has ended it is a
// context that is done.
type call struct {
	params []cgi.Field // those that are not used
	once   sync.Once
	env    map[string]string // made by once: few handlers ask

	mu     sync.Mutex // guards what follows
	parent context.Context
}

var _ context.Context = (*call)(nil)

type callKey struct{}

// ended is what is left of the parent.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func (c *call) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parent = ended
}

// Value implements context.Context.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parent.Value(key)
}

// Done implements context.Context.
func (c *call) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parent.Done()
}

// Err implements context.Context.
func (c *call) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parent.Err()
}

// Deadline implements context.Context.
func (c *call) Deadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parent.Deadline()
}
