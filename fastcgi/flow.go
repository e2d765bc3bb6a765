package fastcgi

import (
	"encoding/binary"
	"strconv"
	"sync"
)

// FlowWindow is the name with which a web server asks in GET_VALUES for flow
// control, which FastCGI 1.0 lacks: doc/flow-control.md. The value it sends is
// how many bytes of STDOUT it takes of a request before it must be asked; the
// value in the answer is the same for STDIN and DATA. Whoever has read some of
// them lets more come with WINDOW_UPDATE. Who does not know the name leaves it
// out of the answer, and there is no flow control.
const FlowWindow = "SLUICE_WINDOW"

// maxWindow is the largest window, and the most that can be outstanding.
const maxWindow = 1<<31 - 1

// AppendWindowUpdate appends a WINDOW_UPDATE record, which allows n more bytes
// of a request.
func AppendWindowUpdate(dst []byte, id uint16, n uint32) []byte {
	dst = AppendHeader(dst, TypeWindowUpdate, id, 4, 0)
	return binary.BigEndian.AppendUint32(dst, n)
}

// appendFlowQuestion asks for flow control.
func appendFlowQuestion(dst []byte, window int) []byte {
	start := len(dst)
	dst = AppendHeader(dst, TypeGetValues, 0, 0, 0)
	dst, _ = AppendPair(dst, FlowWindow, strconv.Itoa(window)) // never too long
	setLength(dst, start)
	return dst
}

func parseWindowUpdate(p Piece) (int64, error) {
	if len(p.Content) != 4 {
		return 0, errorf("WINDOW_UPDATE of %d bytes, want 4", len(p.Content))
	}
	n := binary.BigEndian.Uint32(p.Content)
	if n == 0 || n > maxWindow {
		return 0, errorf("WINDOW_UPDATE of request %d for %d bytes", p.ID, n)
	}
	return int64(n), nil
}

// A credit is how much may be sent of a request. Without flow control it never
// ends.
type credit struct {
	on bool

	mu      sync.Mutex // guards what follows
	changed sync.Cond
	left    int64
	err     error // why nothing more is to be sent
}

// init begins with a window; 0 means that there is no flow control.
func (c *credit) init(window int64) {
	*c = credit{on: window > 0, left: window}
	c.changed.L = &c.mu
}

func (c *credit) limited() bool { return c.on }

// take takes up to n bytes, at least one. While it waits, wait is called first,
// and may be nil.
func (c *credit) take(n int, wait func()) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.left <= 0 && c.err == nil {
		if wait == nil {
			c.changed.Wait()
			continue
		}
		c.mu.Unlock()
		wait()
		wait = nil
		c.mu.Lock()
	}
	if c.err != nil {
		return 0, c.err
	}
	n = int(min(int64(n), c.left))
	c.left -= int64(n)
	return n, nil
}

// give adds n bytes.
func (c *credit) give(n int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left += n; c.left > maxWindow && c.left < 1<<61 {
		return errorf("WINDOW_UPDATEs allow more than %d bytes", maxWindow)
	}
	c.changed.Broadcast()
	return nil
}

// agreed corrects a window that was only assumed; 0 means that there is no flow
// control after all.
func (c *credit) agreed(assumed, window int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left += window - assumed; window == 0 {
		c.left = 1 << 62
	}
	c.changed.Broadcast()
}

// fail ends all waiting.
func (c *credit) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	if c.on {
		c.changed.Broadcast()
	}
}
