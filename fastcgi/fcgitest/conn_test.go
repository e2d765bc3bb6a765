package fcgitest_test

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
	. "github.com/sluice-gateway/sluice/fastcgi/fcgitest"
)

// A failing is a test that may fail: it notes how.
type failing struct {
	testing.TB
	mu       sync.Mutex
	text     strings.Builder
	cleanups []func()
}

func (f *failing) Helper()          {}
func (f *failing) Cleanup(c func()) { f.cleanups = append(f.cleanups, c) }
func (f *failing) Error(args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fmt.Fprintln(&f.text, args...)
}
func (f *failing) Errorf(format string, args ...any) { f.Error(fmt.Sprintf(format, args...)) }
func (f *failing) Fatal(args ...any)                 { f.Error(args...); runtime.Goexit() }
func (f *failing) Fatalf(format string, args ...any) { f.Fatal(fmt.Sprintf(format, args...)) }

// run runs a test and its cleanups, and returns how it failed.
func (f *failing) run(test func()) string {
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() {
			for i := len(f.cleanups) - 1; i >= 0; i-- {
				f.cleanups[i]()
			}
		}()
		test()
	})
	wg.Wait()
	return f.text.String()
}

// What is not as it should be is said in full: where, what was expected, what
// came, and what was said before.
func TestFailures(t *testing.T) {
	send := func(records ...Record) func(*Conn) {
		return func(c *Conn) { c.Send(records...); c.Close() }
	}
	tests := []struct {
		name string
		peer func(c *Conn)
		read func(c *Conn)
		want []string
	}{
		{"another record", send(Stdout(1, "ab"), Stdout(1, "cd")), func(c *Conn) { c.Expect(Stdout(1, "ab"), Stdout(1, "ef")) },
			[]string{`connection 0: record 2 of 2 is STDOUT(1 "cd"), want STDOUT(1 "ef")`, "so far:\n\t< STDOUT(1 \"ab\")\n\t< STDOUT(1 \"cd\")\n"}},
		{"another id", send(Stdout(2, "")), func(c *Conn) { c.Expect(Stdout(1, "")) }, []string{"record 1 of 1 is STDOUT(2), want STDOUT(1)"}},
		{"close instead of a record", send(), func(c *Conn) { c.Expect(Stdout(1, "a")) }, []string{`read STDOUT(1 "a"): EOF`, "nothing was said before"}},
		{"close in the header", send(Stdout(1, ""), Stdout(1, "abc").Cut(3)), func(c *Conn) { c.ReadAll() },
			[]string{"read to the close: the other side closed: EOF inside the record at byte 8, after 01 06 00"}},
		{"close in the content", send(Stdout(1, "abc").Cut(-1)), func(c *Conn) { c.Read() },
			[]string{"EOF inside the record at byte 0, after 01 06 00 01 00 03 00 00 61 62 (STDOUT of request 1, 2 of 3 bytes of content)"}},
		{"close in the padding", send(Stdout(1, "abc").WithPadding(9).Cut(-1)), func(c *Conn) { c.ExpectClosed() }, []string{"3 of 3 bytes of content"}},
		{"record instead of a close", send(Stdout(1, "abc")), func(c *Conn) { c.ExpectClosed() }, []string{"want nothing but a close, got before it:\n\tSTDOUT(1 \"abc\")"}},
		{"silence", func(c *Conn) { c.Send(Stdout(1, ""), Stdout(1, "").Cut(1)); c.Pause(nil) }, func(c *Conn) { c.Read(); c.Timeout = time.Millisecond; c.Read() }, []string{"read a record: ", "timeout inside the record at byte 8, after 01"}},
		{"silence, instead of a close", func(c *Conn) { c.Pause(nil) }, func(c *Conn) { c.Timeout = time.Millisecond; c.ExpectClosed() }, []string{"timeout at byte 0, between two records"}},
		{"version", send(Stdout(1, "").WithVersion(2)), func(c *Conn) { c.Read() }, []string{"record at byte 0: protocol version 2, want 1", "< STDOUT(1) of version 2"}},
		{"reserved byte", send(Stdout(1, ""), Stdout(1, "").WithReserved(9)), func(c *Conn) { c.ReadAll() }, []string{"record at byte 8: reserved byte 0x09 in the header, want 0"}},
		{"reserved in END_REQUEST", send(Record{Type: 3, ID: 1, Content: "\x00\x00\x00\x00\x00\x00\x00\x01"}), func(c *Conn) { c.Read() }, []string{"END_REQUEST with reserved bytes 00 00 01, want zeros"}},
		{"short END_REQUEST", send(Record{Type: 3, ID: 1, Content: "123"}), func(c *Conn) { c.Read() }, []string{"END_REQUEST of 3 bytes, want 8"}},
		{"long ABORT_REQUEST", send(Record{Type: 2, ID: 1, Content: "123"}), func(c *Conn) { c.Read() }, []string{"ABORT_REQUEST of 3 bytes, want 0"}},
		{"STDOUT with id 0", send(Stdout(0, "")), func(c *Conn) { c.Read() }, []string{"STDOUT with request id 0"}},
		{"GET_VALUES with id 1", send(Record{Type: 9, ID: 1}), func(c *Conn) { c.Read() }, []string{"GET_VALUES with request id 1"}},
		{"PARAMS before BEGIN", send(Params(1)), func(c *Conn) { c.ReadRequest() }, []string{"read a request: got PARAMS(1), want BEGIN_REQUEST"}},
		{"STDIN before the end of PARAMS", send(Begin(1, 1, true), Params(1, "A=b"), Stdin(1, "x")), func(c *Conn) { c.ReadRequest() }, []string{`read PARAMS of request 1: got STDIN(1 "x") after 4 bytes`}},
		{"pair past the end", send(Begin(1, 1, true), Record{Type: 4, ID: 1, Content: "\x09\x09x"}, Params(1)), func(c *Conn) { c.ReadHead() }, []string{"read a request: fastcgi: malformed: name-value pair at byte 0 runs past the end"}},
		{"close in a request", send(Begin(1, 1, true), Params(1)), func(c *Conn) { c.ReadRequest() }, []string{"read STDIN of request 1: EOF"}},
		{"abort in a stream", send(Abort(1)), func(c *Conn) { c.ReadStream(fastcgi.TypeStdin, 1) }, []string{"read STDIN of request 1: got ABORT_REQUEST"}},
		{"STDOUT after its end", send(Stdout(1, ""), Stdout(1, "x")), func(c *Conn) { c.ReadAnswer(1) }, []string{`read the answer to request 1: got STDOUT(1 "x") after the end of that stream`}},
		{"STDIN in an answer", send(Stdin(1, "")), func(c *Conn) { c.ReadAnswer(1) }, []string{"read the answer to request 1: got STDIN(1)"}},
		{"no END_REQUEST", send(Stdout(1, "")), func(c *Conn) { c.ReadAnswer(1) }, []string{"read the answer of request 1: EOF"}},
		{"two END_REQUESTs", send(EndRequest(1, 0, 0), EndRequest(1, 0, 0)), func(c *Conn) { c.ReadAnswer(1); c.ExpectClosed() }, []string{"got before it:\n\tEND_REQUEST(1 REQUEST_COMPLETE)"}},
		{"answer to another", send(Stdout(2, "x"), EndRequest(1, 0, 0)), func(c *Conn) { c.ReadAnswer(1); c.ExpectClosed() }, []string{`STDOUT(2 "x")`}},
		{"reset of a pipe", send(), func(c *Conn) { c.Reset() }, []string{"Reset: not possible on a *net.pipe"}},
		{"half a close of a pipe", send(), func(c *Conn) { c.CloseWrite() }, []string{"CloseWrite: not possible on a *net.pipe"}},
		{"send to the closed", send(), func(c *Conn) { c.ExpectClosed(); c.Send(Stdout(1, "x")) }, []string{"send 01 06 00 01 00 01 00 00 78…: 0 of 9 bytes sent: io: read/write on closed pipe", "< closed\n\t> STDOUT"}},
		{"much was said", send(Stream(fastcgi.TypeStdout, 1, strings.Repeat("x", 99), 1)...), func(c *Conn) { c.ReadAll(); c.Fatalf("enough") }, []string{"enough\nso far:\n\t< STDOUT(1 \"x\")", "… 76 more\n", "< closed\n"}},
		{"Errorf names the connection", send(), func(c *Conn) { c.Errorf("%d is odd", 1) }, []string{"connection 0: 1 is odd"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, script := range []bool{false, true} {
				ours, theirs := net.Pipe()
				Go(t, theirs, tt.peer)
				f := new(failing)
				returned := false
				got := f.run(func() {
					if script {
						Go(f, ours, tt.read)
					} else {
						tt.read(NewConn(f, ours))
					}
					returned = true
				})
				for _, want := range tt.want {
					if !strings.Contains(got, want) {
						t.Errorf("failure (in a script: %v) = %s\nwant %s", script, got, want)
					}
				}
				if strings.Count(got, "connection 0: ") != 1 {
					t.Errorf("failures = %s, want one", got)
				}
				if fatal := !strings.Contains(got, "is odd"); !script && returned == fatal {
					t.Errorf("the test went on: %v, want %v", returned, !fatal)
				}
			}
		})
	}
}

// What the end of the test ends in a script must end by itself elsewhere.
func TestWaitingIsBounded(t *testing.T) {
	for want, wait := range map[string]func(c *Conn){
		"Pause: not released for 1ms":     func(c *Conn) { c.Pause(nil) },
		"wait for the next record: read ": func(c *Conn) { c.More() },
	} {
		ours, theirs := net.Pipe()
		Go(t, theirs, func(c *Conn) { c.Pause(nil) })
		f := new(failing)
		got := f.run(func() {
			c := NewConn(f, ours)
			c.Timeout = time.Millisecond
			wait(c)
		})
		if !strings.Contains(got, want) {
			t.Errorf("failure = %s, want %s", got, want)
		}
	}
}

// A script that fails says on which connection, and ends.
func TestScriptNamesConnection(t *testing.T) {
	f := new(failing)
	got := f.run(func() {
		app := Application(f, func(c *Conn) {
			if c.N == 1 {
				c.Expect(Begin(1, 1, true))
				c.Errorf("went on")
			}
		})
		for range 3 {
			c := Dial(f, app.Network, app.Address)
			c.TrySend(Abort(7))
			c.ExpectClosed()
		}
	})
	if want := "connection 1: record 1 of 1 is ABORT_REQUEST(7), want BEGIN_REQUEST(1 role 1 flags 1)"; !strings.HasPrefix(got, want) || strings.Contains(got, "went on") {
		t.Errorf("failure = %s, want %s", got, want)
	}
}

func TestDialFails(t *testing.T) {
	f := new(failing)
	if got := f.run(func() { Dial(f, "unix", "/nonexistent/s") }); !strings.Contains(got, "fcgitest: dial unix /nonexistent/s") {
		t.Errorf("failure = %s", got)
	}
}

// The end of a test ends what waits for it, and only that.
func TestEndOfTest(t *testing.T) {
	var said []string
	f := new(failing)
	got := f.run(func() {
		app := Application(f, func(c *Conn) {
			c.Send(Stderr(1, "here"))
			if c.N == 0 {
				c.Pause(nil)
				said = append(said, "paused")
			}
			for range 2 {
				if c.More() {
					c.Errorf("there is more")
				}
			}
		})
		for range 2 { // the second one waits in More, on a connection that stays open
			nc, err := net.Dial(app.Network, app.Address)
			if err != nil {
				f.Fatal(err)
			}
			t.Cleanup(func() { nc.Close() })
			NewConn(t, nc).Expect(Stderr(1, "here"))
		}
	})
	if got != "" || len(said) != 1 {
		t.Errorf("failure = %s, said %q", got, said)
	}
}

// Answers to several requests may be read in another order than they come.
func TestMultiplexed(t *testing.T) {
	app := Application(t, func(c *Conn) {
		one, two := c.ReadHead(), c.ReadHead()
		if one.ID != 1 || two.ID != 2 || one.Param("A") != "1" || two.Param("A") != "2" {
			c.Errorf("heads = %+v, %+v", one, two)
		}
		if body := c.ReadStream(fastcgi.TypeStdin, 2) + c.ReadStream(fastcgi.TypeStdin, 1); body != "twoone" {
			c.Errorf("bodies = %q", body)
		}
		c.Send(Stdout(2, "b"), Stdout(1, "a"), GetValuesResult(), Stderr(2, "e"), EndRequest(2, 0, 3), Stdout(1, "a"), EndRequest(1, 0, 0))
	})
	c := Dial(t, app.Network, app.Address)
	c.Send(Begin(1, 1, true), Params(1, "A=1"), Begin(2, 1, true), Params(2, "A=2"), Params(1), Params(2))
	c.Send(Stdin(1, "one"), Stdin(2, "t"), Stdin(2, "wo"), Stdin(1, ""), Stdin(2, ""))
	if a := c.ReadAnswer(1); a != (Answer{ID: 1, Stdout: "aa"}) {
		t.Errorf("answer 1 = %+v", a)
	}
	c.Expect(Stdout(2, "b"), GetValuesResult())
	if a := c.ReadAnswer(2); a != (Answer{ID: 2, Stderr: "e", AppStatus: 3}) {
		t.Errorf("answer 2 = %+v", a)
	}
	c.ExpectClosed()
}

// A pipe and what talks over it can live in a bubble, where time is not real.
func TestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		Go(t, theirs, func(c *Conn) {
			q := c.ReadRequest()
			time.Sleep(time.Hour)
			c.Send(Answer{ID: q.ID, Stdout: "\nat last"}.Records()...)
		})
		c := NewConn(t, ours)
		c.Timeout = 2 * time.Hour
		start := time.Now()
		c.Send(Request{ID: 3}.Records()...)
		if a := c.ReadAnswer(3); a.Stdout != "\nat last" || time.Since(start) != time.Hour {
			t.Errorf("answer = %+v after %v", a, time.Since(start))
		}
		c.ExpectClosed()
	})
}

func TestReadRequest(t *testing.T) {
	filter := Request{ID: 9, Role: fastcgi.RoleFilter, Params: Fields("A=b"), Body: "body", Data: "data"}
	aborted := Request{ID: 1, Role: 1, KeepConn: true, Params: Fields("A=b"), Aborted: true}
	ours, theirs := net.Pipe()
	Go(t, theirs, func(c *Conn) {
		c.Dribble(1, filter.Records()...)
		c.Send(aborted.Records()...)
		c.Send(Begin(1, 2, true), Abort(1))
	})
	c := NewConn(t, ours)
	for _, want := range []Request{filter, aborted, {ID: 1, Role: 2, KeepConn: true, Aborted: true}} {
		if got := c.ReadRequest(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("ReadRequest = %+v, want %+v", got, want)
		}
	}
	if c.More() {
		t.Error("there is more")
	}
}

// An authorizer is given no STDIN, and is if the web server thinks otherwise.
func TestReadAuthorizer(t *testing.T) {
	ask := &cgi.Request{Role: cgi.Authorizer, Method: "POST", Target: "/secret", Body: cgi.BytesBody([]byte("body")), ContentLength: 4}
	app := Application(t, func(c *Conn) {
		for c.More() {
			q := c.ReadRequest()
			if q.Role != fastcgi.RoleAuthorizer || q.Body != "" || q.Aborted || q.Param("REQUEST_URI") != "/secret" {
				c.Errorf("ReadRequest = %+v", q)
			}
			c.Send(answer(q.ID, hello)...)
		}
	})
	for range 2 {
		if status, body, err := fetch(t, newClient(t), app, ask); err != nil || body != "hello" {
			t.Errorf("%d, %q, %v, want hello", status, body, err)
		}
	}
	for name, dribble := range map[string]int{"in pieces": 8, "at once": 1 << 10} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			one := Request{ID: 1, Role: fastcgi.RoleAuthorizer, Params: Fields("REQUEST_URI=/secret")}
			two := Request{ID: 2, Role: fastcgi.RoleResponder, Params: Fields("A=b"), Body: "body"}
			Go(t, theirs, func(c *Conn) {
				for _, q := range []Request{one, two, one, one} { // with the end of STDIN
					c.Dribble(dribble, q.Records()...)
				}
			})
			c := NewConn(t, ours)
			for _, want := range []Request{one, two, one, one} {
				if got := c.ReadRequest(); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("ReadRequest = %+v, want %+v", got, want)
				}
			}
			if c.More() {
				t.Error("there is more")
			}
		})
	}
	t.Run("among others", func(t *testing.T) {
		ours, theirs := net.Pipe()
		Go(t, theirs, func(c *Conn) {
			c.Send(Begin(2, 1, true), Begin(1, 2, true), Params(1), Stdin(1, ""), Params(2), Stdin(2, ""))
		})
		c := NewConn(t, ours)
		for _, want := range []Request{{ID: 2, Role: 1, KeepConn: true}, {ID: 1, Role: 2, KeepConn: true}} {
			if got := c.ReadRequest(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("ReadRequest = %+v, want %+v", got, want)
			}
		}
		if c.More() {
			t.Error("there is more")
		}
	})
}

// A reset takes what was not read with it, half a close does not.
func TestResetAndHalfClose(t *testing.T) {
	app := ApplicationOn(t, Listen(t, "tcp"), func(c *Conn) {
		if c.N == 0 {
			c.Expect(Abort(1)) // a reset that comes too early fails the dialing
			c.Reset()
			return
		}
		c.ExpectClosed()
		c.Send(Stdout(1, "still here"))
	})
	c := Dial(t, app.Network, app.Address)
	c.Send(Abort(1))
	c.ExpectClosed()
	if c.TrySend(Stdin(1, "x")) {
		t.Error("TrySend after a reset = true")
	}
	c = Dial(t, app.Network, app.Address)
	c.CloseWrite()
	c.Expect(Stdout(1, "still here"))
	c.ExpectClosed()
}
