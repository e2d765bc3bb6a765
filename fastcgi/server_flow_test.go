package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// answer1 is what describes a whole answer of so many records of STDOUT.
func answer1(contents ...string) string {
	var b strings.Builder
	for _, c := range contents {
		fmt.Fprintf(&b, "STDOUT(1 %q) ", c)
	}
	return b.String() + "STDOUT(1) END(1 REQUEST_COMPLETE)"
}

const (
	agreed = `GET_VALUES_RESULT(0 "\r\x06SLUICE_WINDOW131072")`
	head   = "Status: 200 OK\r\n\r\n" // 18 bytes
)

// No more of an answer is sent than the web server has given credit for, and
// all of it once there is enough.
func TestServerCredit(t *testing.T) {
	say := func(parts ...string) cgi.HandlerFunc {
		return func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			for _, p := range parts {
				io.WriteString(w, p)
				if len(parts) > 1 {
					w.Flush()
				}
			}
		}
	}
	// A step is what is sent, and what comes then.
	type step struct{ in, want string }
	tests := []struct {
		name    string
		handler cgi.HandlerFunc
		steps   []step
	}{
		{"enough", say("hello"), []step{{recGet(1, true), answer1(head + "hello")}}},
		{"no more than enough", say("hello!!"), []step{{recGet(1, true), answer1(head + "hello!!")}}},
		{"one byte short", say("hello!!!"), []step{
			{recGet(1, true), `STDOUT(1 "Status: 200 OK\r\n\r\nhello!!")`},
			{recUpdate(1, 1), answer1("!")},
		}},
		{"by single bytes", say("hello!!" + "abc"), []step{
			{recGet(1, true), `STDOUT(1 "Status: 200 OK\r\n\r\nhello!!")`},
			{recUpdate(1, 1), `STDOUT(1 "a")`},
			{recUpdate(1, 2), answer1("bc")},
		}},
		{"given before it is asked for", say("hello!!!"), []step{
			{recBegin(1, RoleResponder, true) + recUpdate(1, 1), ""},
			{recParams(1) + recUpdate(1, 5) + recEnd(TypeStdin, 1), answer1(head + "hello!!!")},
		}},
		{"flushed", say("hello!!", "abc", "d"), []step{
			{recGet(1, true), `STDOUT(1 "Status: 200 OK\r\n\r\nhello!!")`},
			{recUpdate(1, 2), `STDOUT(1 "ab")`},
			{recUpdate(1, 100), answer1("c", "d")},
		}},
		{"longer than a record", say(strings.Repeat("x", 70_000)), []step{
			{recGet(1, true), `STDOUT(1 "Status: 200 OK\r\n\r\n") STDOUT(1 "xxxxxxx")`},
			{recUpdate(1, maxWindow), answer1(strings.Repeat("x", maxPiece), strings.Repeat("x", 70_000-7-maxPiece))},
		}},
		{"aborted while it waits", say("hello!!!"), []step{
			{recGet(1, true), `STDOUT(1 "Status: 200 OK\r\n\r\nhello!!")`},
			{recAbort(1), "STDOUT(1) END(1 REQUEST_COMPLETE)"},
			{recUpdate(1, 1) + recGet(1, true), `STDOUT(1 "Status: 200 OK\r\n\r\nhello!!")`},
		}},
		{"aborted in a write", say("hello!!", "abc"), []step{
			{recGet(1, true), `STDOUT(1 "Status: 200 OK\r\n\r\nhello!!")`},
			{recAbort(1), "STDOUT(1) END(1 REQUEST_COMPLETE)"},
		}},
		{"for a request that is over", say("hello"), []step{
			{recUpdate(1, 1000), ""},
			{recGet(1, true), answer1(head + "hello")},
			{recUpdate(1, 1000) + recUpdate(77, maxWindow), ""},
		}},
		{"other requests go on", func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			if _, long := r.Param("LONG"); long {
				io.WriteString(w, "and ")
			}
			io.WriteString(w, "hello")
		}, []step{
			{recGet(1, true, "LONG", ""), `STDOUT(1 "Status: 200 OK\r\n\r\nand hel")`},
			{recGet(2, true), ok2},
			{recGet(2, true), ok2},
			{recUpdate(1, 10), answer1("lo")},
		}},
		{"stderr needs none", func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			io.WriteString(cgi.Stderr(w), strings.Repeat("x", 100))
		}, []step{{recGet(1, true), `STDERR(1 "` + strings.Repeat("x", 100) + `") STDOUT(1 "Status: 200 OK\r\n\r\n") STDERR(1) STDOUT(1) END(1 REQUEST_COMPLETE)`}}},

		{"of nothing", nil, []step{{recBegin(1, RoleResponder, true) + recUpdate(1, 0), "closed"}}},
		{"of too much", nil, []step{{recBegin(1, RoleResponder, true) + recUpdate(1, maxWindow+1), "closed"}}},
		{"of one byte too much in all", nil, []step{{recBegin(1, RoleResponder, true) + recUpdate(1, maxWindow-24), "closed"}}},
		{"of too much in all", nil, []step{{recBegin(1, RoleResponder, true) + recUpdate(1, maxWindow), "closed"}}},
		{"as much as there can be", say("hello"), []step{
			{recBegin(1, RoleResponder, true) + recUpdate(1, maxWindow-25), ""},
			{recParams(1) + recEnd(TypeStdin, 1), answer1(head + "hello")},
		}},
		{"too short a record", nil, []step{{recBegin(1, RoleResponder, true) + "\x01\x28\x00\x01\x00\x03\x00\x00" + "\x00\x00\x01", "closed"}}},
		{"too long a record", nil, []step{{recBegin(1, RoleResponder, true) + "\x01\x28\x00\x01\x00\x05\x00\x00" + "\x00\x00\x00\x00\x01", "closed"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Server{Handler: tt.handler}
			if tt.handler == nil {
				s.Handler = cgi.HandlerFunc(sayHello)
			}
			inBubble(t, s, func(t *testing.T, dial func() *web) {
				w := dial()
				w.send(recWindow(len(head) + 7))
				if got := w.replies(); got != agreed {
					t.Fatalf("answer to the question: %s", got)
				}
				for i, step := range tt.steps {
					w.send(step.in)
					if got := w.replies(); got != step.want {
						t.Errorf("step %d: %s\nwant %s", i, got, step.want)
					}
				}
			})
		})
	}
}

// A question about the window that gives no number asks for no flow control.
func TestServerWindowQuestions(t *testing.T) {
	tests := []struct {
		name, value string
		ahead       int // MaxBodyAhead
		want        string
		flow        bool
	}{
		{"a number", "1", 0, "131072", true},
		{"the largest", "2147483647", 0, "131072", true},
		{"too large", "2147483648", 0, "131072", false},
		{"none", "", 0, "131072", false},
		{"nothing", "0", 0, "131072", false},
		{"negative", "-1", 0, "131072", false},
		{"a word", "much", 0, "131072", false},
		{"a small window of ours", "1", 10, "10", true},
		{"no limit of ours", "1", -1, "2147483647", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, &Server{Handler: cgi.HandlerFunc(sayHello), MaxBodyAhead: tt.ahead}, func(t *testing.T, dial func() *web) {
				w := dial()
				w.send(recValues(FlowWindow, tt.value))
				if got, want := w.replies(), fmt.Sprintf("GET_VALUES_RESULT(0 %q)", recPairs(FlowWindow, tt.want)); got != want {
					t.Errorf("replies = %s, want %s", got, want)
				}
				w.send(recGet(1, true))
				if flow := w.replies() != ok1; flow != (tt.flow && tt.value == "1") {
					t.Errorf("flow control: %v, want %v", flow, tt.flow)
				}
			})
		})
	}
}

// A web server that knows our flow control may send a window of a body, and
// more when it has been read.
func TestServerGrantsCredit(t *testing.T) {
	tests := []struct {
		name  string
		reads []int  // of the handler, a second apart
		sent  []int  // pieces of the body, a second apart, half a second after
		want  string // all replies; ALL is the answer
	}{
		{"within the window", []int{4}, []int{10}, "ALL"},
		{"one byte more", []int{0, 0, 11}, []int{10, 1}, "closed"},
		{"half a window read", []int{0, 5}, []int{10}, "WINDOW_UPDATE(1 5)"},
		{"less than half", []int{0, 4, 0}, []int{10}, ""},
		{"less than half, twice", []int{0, 4, 4}, []int{10}, "WINDOW_UPDATE(1 8)"},
		{"more as soon as it may come", []int{0, 5, 5}, []int{10, 0, 5}, "WINDOW_UPDATE(1 5) WINDOW_UPDATE(1 5)"},
		{"too much of more", []int{0, 5}, []int{10, 0, 6}, "WINDOW_UPDATE(1 5) closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			total := 0
			for _, n := range tt.sent {
				total += n
			}
			s := &Server{MaxBodyAhead: 10, Handler: cgi.HandlerFunc(func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				for _, n := range tt.reads {
					io.ReadFull(r.Body, make([]byte, n))
					time.Sleep(time.Second)
				}
				if !strings.Contains(tt.want, "ALL") {
					<-ctx.Done()
				}
			})}
			inBubble(t, s, func(t *testing.T, dial func() *web) {
				w := dial()
				w.send(recWindow(1000))
				w.replies()
				w.send(recBegin(1, RoleResponder, true) + recParams(1, "CONTENT_LENGTH", "1000000"))
				time.Sleep(500 * time.Millisecond)
				for _, n := range tt.sent {
					io.WriteString(w, recStream(TypeStdin, 1, strings.Repeat("x", n)))
					time.Sleep(time.Second)
				}
				time.Sleep(10 * time.Second)
				got := w.replies()
				for n := range 20 { // the content of WINDOW_UPDATE, readable
					got = strings.ReplaceAll(got, fmt.Sprintf("WINDOW_UPDATE(1 %q)", []byte{0, 0, 0, byte(n)}), fmt.Sprintf("WINDOW_UPDATE(1 %d)", n))
				}
				if want := strings.ReplaceAll(tt.want, "ALL", answer1(head)); got != want {
					t.Errorf("replies = %s, want %s", got, want)
				}
			})
		})
	}
}

// Flow control holds for the requests that begin after it was agreed on.
func TestServerWindowDuringRequest(t *testing.T) {
	s := &Server{MaxBodyAhead: 10, Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})}
	for _, split := range []int{1, 2} { // before the params, or after them
		inBubble(t, s, func(t *testing.T, dial func() *web) {
			w := dial()
			in := []string{recBegin(1, RoleResponder, true), recParams(1, "CONTENT_LENGTH", "100"), recStream(TypeStdin, 1, strings.Repeat("x", 100)) + recEnd(TypeStdin, 1)}
			w.send(strings.Join(in[:split], ""))
			w.send(recWindow(5))
			w.send(strings.Join(in[split:], ""))
			if got, want := w.replies(), `GET_VALUES_RESULT(0 "\r\x02SLUICE_WINDOW10") `+answer1(head+"100 <nil>"); got != want {
				t.Errorf("asked after %d records: %s, want %s", split, got, want)
			}
		})
		s = &Server{MaxBodyAhead: 10, Handler: s.Handler}
	}
}

// Whoever waits for credit is told when the connection is lost, or the server
// closed.
func TestServerCreditNeverComes(t *testing.T) {
	tests := []struct {
		name string
		end  func(s *Server, w *web)
		want error
	}{
		{"connection lost", func(_ *Server, w *web) { w.Close() }, ErrConnectionLost},
		{"server closed", func(s *Server, _ *web) { s.Close() }, ErrShutdown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []error
			s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				_, err := w.Write(make([]byte, 10_000))
				got = append(got, err, w.Flush())
			})}
			inBubble(t, s, func(t *testing.T, dial func() *web) {
				w := dial()
				w.send(recWindow(1))
				w.send(recGet(1, true))
				w.replies()
				tt.end(s, w)
				synctest.Wait()
				if len(got) != 2 || !errors.Is(got[0], tt.want) || !errors.Is(got[1], tt.want) {
					t.Errorf("Write and Flush = %v, want %v", got, tt.want)
				}
			})
		})
	}
}
