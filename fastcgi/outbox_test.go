package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

var errBroken = errors.New("broken")

// A limitedConn takes so many bytes and then fails, in the middle of a write
// if need be.
type limitedConn struct {
	net.Conn
	mu   sync.Mutex
	left int
	got  []byte
}

func (c *limitedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(p), c.left)
	c.got = append(c.got, p[:n]...)
	if c.left -= n; n < len(p) {
		return n, errBroken
	}
	return n, nil
}

// A write that fails, at whatever byte, is the end of the connection: nothing
// follows what has gone out, and the handlers are told.
func TestServerWriteFailsAtEveryByte(t *testing.T) {
	handler := cgi.HandlerFunc(func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		fmt.Fprint(cgi.Stderr(w), "note")
		io.WriteString(w, "hello")
		w.Flush()
		if _, err := w.Write(make([]byte, 9000)); err != nil && !errors.Is(err, ErrConnectionLost) {
			t.Errorf("Write = %v, want ErrConnectionLost", err)
		}
		io.WriteString(w, "end")
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errBroken) {
			t.Errorf("cause %v, want %v", cause, errBroken)
		}
	})
	all := ""
	for left := 1 << 20; left >= 0; left-- {
		if n := len(all); left > n && n > 0 {
			left = n + 1
		}
		if left > 200 && left < len(all)-100 {
			left = 200 // the middle of the long record is all alike
		}
		synctest.Test(t, func(t *testing.T) {
			s := &Server{Handler: handler}
			l := newPipeListener()
			served := make(chan error, 1)
			go func() { served <- s.Serve(l) }() // until Close
			ours, theirs := net.Pipe()
			c := &limitedConn{Conn: theirs, left: left}
			l.conns <- c
			io.WriteString(ours, recGet(1, true)+recGet(1, true))
			synctest.Wait()
			if all == "" {
				all = string(c.got)
				if got, err := describe(c.got); ends(got, 1) != 2 || err != nil {
					t.Fatalf("replies = %s, %v", got, err)
				}
			}
			if got := string(c.got); got != all[:min(left, len(all))] {
				t.Errorf("%d bytes: %q has gone out", left, got)
			}
			if left < len(all) {
				if _, err := ours.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("%d bytes: Read = %v, want that the connection is closed", left, err)
				}
			}
			ours.Close()
			s.Close()
			<-served
			if n := s.active.Load(); n != 0 {
				t.Errorf("%d bytes: %d requests counted at the end", left, n)
			}
		})
	}
}

// Records of many requests come whole and in the order of each, whoever sends
// them and however.
func TestOutboxKeepsOrder(t *testing.T) {
	ours, theirs := net.Pipe()
	got := make(chan []byte, 1)
	go func() { // ends with the pipe
		b, _ := io.ReadAll(ours)
		got <- b
	}()
	var o outbox
	o.init(theirs, time.Minute, func(err error) { t.Errorf("broken: %v", err) })
	const senders, each = 8, 200
	var wg sync.WaitGroup
	for id := range uint16(senders) {
		wg.Go(func() {
			for i := range each {
				content := fmt.Sprintf("%d.%d", id, i) + strings.Repeat(".", i*7%300)
				put := func(dst []byte) []byte { return AppendStream(dst, TypeStdout, id+1, []byte(content)) }
				switch i % 4 {
				case 0:
					o.add(put)
				case 1:
					if o.add(put); o.flush() != nil {
						t.Error("flush failed")
					}
				case 2:
					if o.send(put, nil, time.Time{}) != nil {
						t.Error("send failed")
					}
				case 3: // the content is not copied
					header := func(dst []byte) []byte { return AppendHeader(dst, TypeStdout, id+1, uint16(len(content)), 0) }
					if o.send(header, []byte(content), time.Time{}) != nil {
						t.Error("send failed")
					}
				}
			}
		})
	}
	wg.Wait()
	o.flush()
	theirs.Close()
	var d Decoder
	next := make(map[uint16]int)
	content := make(map[uint16]string)
	for b := <-got; ; {
		p, rest, ok, err := d.Next(b)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		b = rest
		content[p.ID] += string(p.Content)
		i := next[p.ID]
		if want := fmt.Sprintf("%d.%d", p.ID-1, i) + strings.Repeat(".", i*7%300); content[p.ID] == want {
			content[p.ID] = ""
			next[p.ID]++
		} else if !strings.HasPrefix(want, content[p.ID]) {
			t.Fatalf("record %d of sender %d: %.40q, want %.40q", i, p.ID-1, content[p.ID], want)
		}
	}
	for id := range uint16(senders) {
		if next[id+1] != each {
			t.Errorf("%d records of sender %d, want %d", next[id+1], id, each)
		}
	}
}

// A turnstile lets one write through each time it is told.
type turnstile struct {
	net.Conn
	turn chan int // how much the write had
	got  []byte
}

func (c *turnstile) Write(p []byte) (int, error) {
	c.turn <- len(p)
	c.got = append(c.got, p...)
	return len(p), nil
}

func (*turnstile) SetWriteDeadline(time.Time) error { return nil }

func letters(s string) func([]byte) []byte {
	return func(dst []byte) []byte { return append(dst, s...) }
}

// Who waits to send is next when a write ends: whoever writes for the others
// does not go on as long as more comes.
func TestOutboxLetsTheNextOneSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &turnstile{turn: make(chan int)}
		var o outbox
		o.init(c, -1, nil)
		var flushed, sent bool
		o.add(letters("a"))
		go func() { o.flush(); flushed = true }()
		synctest.Wait()
		go func() { o.send(letters("b"), []byte("c"), time.Time{}); sent = true }()
		synctest.Wait()
		o.add(letters("d")) // there is always more
		<-c.turn
		synctest.Wait()
		o.add(letters("e"))
		if !flushed {
			t.Error("the one who has written has not returned, though another waits to write")
		}
		for range 2 {
			<-c.turn // d and b, and c
		}
		synctest.Wait()
		<-c.turn
		synctest.Wait()
		if got := string(c.got); got != "adbce" || !sent {
			t.Errorf("%q was written, want adbce; sent: %v", got, sent)
		}
	})
}

// When there is much, who wants to flush waits for room; when something is on
// its way, and there is little, it does not.
func TestOutboxFlushWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &turnstile{turn: make(chan int)}
		var o outbox
		o.init(c, -1, nil)
		flush := func() *bool {
			done := new(bool)
			go func() { o.flush(); *done = true }()
			synctest.Wait()
			return done
		}
		o.add(letters("a"))
		first := flush()
		if o.add(letters(strings.Repeat("b", outboxSize-1))) {
			t.Error("one byte below what is much is much")
		}
		if !*flush() {
			t.Error("flush waits for somebody else's write")
		}
		if !o.add(letters("c")) {
			t.Error("what is much is not")
		}
		second := flush()
		if *first || *second {
			t.Error("a flush has returned before there was room")
		}
		if o.idle() {
			t.Error("idle, while there is something to send")
		}
		if n := <-c.turn; n != 1 {
			t.Errorf("the first write has %d bytes", n)
		}
		if n := <-c.turn; n != outboxSize {
			t.Errorf("the second write has %d bytes, want all there is", n)
		}
		synctest.Wait()
		if !*first || !*second || !o.idle() {
			t.Error("a flush has not returned, and all is written")
		}
		if n := cap(o.records) + cap(o.spare); n > 2*outboxKept {
			t.Errorf("%d bytes of memory are kept, want %d at the most", n, 2*outboxKept)
		}
	})
}

// An idle connection does not keep the memory of a burst of answers.
func TestOutboxGivesMemoryBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &turnstile{turn: make(chan int)}
		var o outbox
		o.init(c, -1, nil)
		for _, more := range []int{0, 1, 2, 3} {
			o.add(letters(strings.Repeat("a", 2*outboxKept)))
			go o.flush()
			for range more {
				synctest.Wait()
				o.add(letters(strings.Repeat("b", 2*outboxKept)))
				<-c.turn
			}
			<-c.turn
			synctest.Wait()
			if n := cap(o.records) + cap(o.spare); n > 2*outboxKept || !o.idle() {
				t.Errorf("after %d writes %d bytes of memory are kept, want %d at the most", more+1, n, 2*outboxKept)
			}
		}
	})
}

// The first error is the one that counts, is told once, and ends all waiting.
func TestOutboxFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		told := 0
		var o outbox
		o.init(theirs, time.Second, func(error) { told++ })
		var errs []error
		var mu sync.Mutex
		note := func(err error) {
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		}
		start := time.Now()
		o.add(letters(strings.Repeat("a", surelyTaken+1)))
		go func() { note(o.flush()) }()
		synctest.Wait()
		for range 3 {
			go func() { note(o.send(letters("b"), []byte("c"), time.Time{})) }()
		}
		o.add(letters(strings.Repeat("d", outboxSize)))
		go func() { note(o.flush()) }()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for _, err := range errs {
			if !errors.Is(err, ErrConnectionLost) {
				t.Errorf("error %v, want ErrConnectionLost", err)
			}
		}
		if len(errs) != 5 || told != 1 || time.Since(start) != 2*time.Second {
			t.Errorf("%d of 5 have an error, and it was told %d times, want once", len(errs), told)
		}
		o.fail(errBroken)
		if err := o.send(letters("x"), nil, time.Time{}); !errors.Is(err, ErrConnectionLost) || told != 1 {
			t.Errorf("later: %v, told %d times", err, told)
		}
		ours.Close()
	})
}

// A deadline holds for the write it is set for, and for no other.
func TestOutboxDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []time.Duration // until the deadline; 0 is none
		c := &deadlineConn{note: func(d time.Time) {
			if d.IsZero() {
				seen = append(seen, 0)
				return
			}
			seen = append(seen, time.Until(d))
		}}
		var o outbox
		o.init(c, time.Minute, nil)
		big := make([]byte, surelyTaken)
		o.send(letters("a"), nil, time.Time{})                 // one that is good for long
		o.send(letters("a"), nil, time.Now().Add(time.Second)) // its own
		o.send(letters("a"), nil, time.Time{})                 // a long one again
		o.send(letters("a"), nil, time.Time{})                 // which is still there
		o.send(nil, big, time.Time{})                          // the timeout
		o.send(nil, big, time.Now().Add(time.Second))          // its own is earlier
		o.send(nil, big, time.Now().Add(time.Hour))            // its own is later
		o.unread.Store(0)                                      // all has been read
		o.send(nil, big[:surelyTaken], time.Time{})            // what is set will do
		o.send(letters("a"), nil, time.Time{})                 // one byte too much
		if want := fmt.Sprint([]time.Duration{2 * time.Minute, time.Second, 2 * time.Minute, time.Minute, time.Second, time.Minute, time.Minute}); fmt.Sprint(seen) != want {
			t.Errorf("deadlines %v, want %v", seen, want)
		}
	})
}

type deadlineConn struct {
	net.Conn
	note func(time.Time)
}

func (c *deadlineConn) Write(p []byte) (int, error)        { return len(p), nil }
func (c *deadlineConn) SetWriteDeadline(d time.Time) error { c.note(d); return nil }

// A web server that asks on and on and reads no answer is given up, though each
// answer is small.
func TestServerGivesUpWhoNeverReads(t *testing.T) {
	l, err := Listen("unix:" + filepath.Join(t.TempDir(), "a"))
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Handler: cgi.HandlerFunc(sayHello), WriteTimeout: 50 * time.Millisecond}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	defer func() { s.Close(); <-served }()
	nc, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetWriteDeadline(time.Now().Add(20 * time.Second))
	for err == nil {
		_, err = io.WriteString(nc, wholeK1)
		time.Sleep(200 * time.Microsecond) // one by one: the server answers each before the next
	}
	if isTimeout(err) {
		t.Error("the server waits for ever")
	}
}
