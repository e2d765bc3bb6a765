package fcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/cgi/cgihttp"
	"github.com/sluice-gateway/sluice/fastcgi"
)

// Found by running the standard package of Go 1.26. What cannot be run in a
// bubble is in fixedElsewhere. Left out: on 32-bit machines the lengths of a
// name and a value can add up to a negative number, and the standard package
// panics; ours is tested for it in fastcgi.
var fixedTests = []fixedTest{
	{"the web server gives a request up", // nearly always after the end of STDIN
		outcome{"the handler is not told", `after 1h0m0s: no end; STDOUT(1 Status: 200 "") END(1 REQUEST_COMPLETE)`},
		outcome{"its context is done", `after 0s: ErrRequestAborted; END(1 REQUEST_COMPLETE)`},
		awaitEnd, func(s *scene) {
			s.send(wholeK1)
			settle()
			s.send(abort1)
			time.Sleep(2 * time.Hour)
			s.note(s.replies())
		}},

	{"… and its body has not been read",
		outcome{"told when it reads, answered twice", `after 1m0s: ErrRequestAborted; END(1 REQUEST_COMPLETE) STDOUT(1 Status: 200 "") END(1 REQUEST_COMPLETE)`},
		outcome{"told at once, answered once", `after 0s: ErrRequestAborted; END(1 REQUEST_COMPLETE)`},
		func(s *scene, w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			select {
			case <-r.Context().Done():
			case <-time.After(time.Minute):
			}
			_, err := io.ReadAll(r.Body)
			s.note("after ", since(start), ": ", s.lib.errorName(err))
		}, func(s *scene) {
			s.send(beginK1 + get1 + endParams1 + stdin1("some") + stdin1("more"))
			s.send(abort1)
			time.Sleep(time.Hour)
			s.note(s.replies())
		}},

	{"the web server goes away",
		outcome{"the handler is not told", `after 1h0m0s: no end`},
		outcome{"its context is done", `after 0s: ErrConnClosed`},
		awaitEnd, func(s *scene) {
			s.send(wholeK1)
			settle()
			s.Conn.Close()
			time.Sleep(2 * time.Hour)
		}},

	{"a body is not read for 3 seconds",
		outcome{"other requests beside it wait", `other answer at once: false; after 3 s: true`},
		outcome{"they do not, behind up to 4 MiB", `other answer at once: true; after 3 s: false`},
		func(s *scene, w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				time.Sleep(3 * time.Second)
				io.ReadAll(r.Body)
			}
		}, func(s *scene) {
			s.send(beginK1 + params1(post()...) + endParams1 + strings.Repeat(stdin1(strings.Repeat("x", 60_000)), 69) + endStdin1 + wholeK2)
			s.note("other answer at once: ", strings.Contains(s.replies(), "END(2 "))
			time.Sleep(3 * time.Second)
			s.note("after 3 s: ", strings.Contains(s.replies(), "END(2 "))
		}},

	{"one of two requests ends the connection",
		outcome{"the other one is lost", hello2 + ` closed; closed`},
		outcome{"it is closed after both", hello2 + `; ` + hello1 + ` closed`},
		func(s *scene, w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Slow") != "" {
				time.Sleep(time.Second)
			}
			io.WriteString(w, "hello")
		}, func(s *scene) {
			s.send(beginK1 + get1 + params1("HTTP_SLOW", "1") + endParams1 + endStdin1 + wholeN2)
			s.note(s.replies())
			time.Sleep(time.Minute)
			s.note(s.replies())
		}},

	{"an id begins again while it is in use",
		outcome{"two answers with one id", hello1 + `; ` + hello1},
		outcome{"the connection is closed", `closed; closed`},
		func(s *scene, w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Minute)
			if r.Header.Get("Slow") != "" {
				time.Sleep(time.Minute)
			}
			io.WriteString(w, "hello")
		}, func(s *scene) {
			s.send(wholeK1 + beginK1 + get1 + params1("HTTP_SLOW", "1") + endParams1 + endStdin1)
			for range 2 {
				time.Sleep(time.Minute)
				s.note(s.replies())
			}
		}},

	{"GET_VALUES",
		outcome{"always the same answer, in two", `GET_VALUES_RESULT(0 "\x0f\x01FCGI_MPXS_CONNS1") GET_VALUES_RESULT(0 "")`},
		outcome{"what was asked for", `GET_VALUES_RESULT(0 "\r\x03FCGI_MAX_REQS512")`},
		sayHello, func(s *scene) {
			s.send("\x01\x09\x00\x00\x00\x0f\x00\x00" + "\x0d\x00FCGI_MAX_REQS")
			s.note(s.replies())
		}},

	{"a management record of another type",
		outcome{"no answer", ``},
		outcome{"UNKNOWN_TYPE", `UNKNOWN_TYPE(0 "M\x00\x00\x00\x00\x00\x00\x00")`},
		sayHello, func(s *scene) {
			s.send("\x01\x4d\x00\x00\x00\x00\x00\x00")
			s.note(s.replies())
		}},

	{"8 MiB of params",
		outcome{"are kept", `STDOUT(1 Status: 200 "hello") END(1 REQUEST_COMPLETE)`},
		outcome{"431, after 256 KiB", `STDOUT(1 Status: 431 "Request Header Fields Too Large\n") END(1 REQUEST_COMPLETE)`},
		sayHello, func(s *scene) {
			s.send(beginK1 + get1)
			for range 128 {
				s.send(params1("A", strings.Repeat("x", 65000)))
			}
			s.send(endParams1 + endStdin1)
			s.note(s.replies())
		}},

	{"600 requests begin and go no further", // golang/go#81548
		outcome{"are kept, at 1 KiB and more each", `0 refused`},
		outcome{"OVERLOADED from the 513th on", `88 refused`},
		sayHello, func(s *scene) {
			for i := range 600 {
				s.send(string(fastcgi.AppendBegin(nil, uint16(i+1), fastcgi.Begin{Role: fastcgi.RoleResponder, KeepConn: true})))
				if i%50 == 0 {
					settle()
				}
			}
			s.note(strings.Count(s.replies(), "OVERLOADED"), " refused")
		}},

	{"the params do not come to an end",
		outcome{"the connection stays for ever", `after an hour: `},
		outcome{"it is closed after 30 seconds", `after an hour: closed`},
		sayHello, func(s *scene) {
			s.send(beginK1 + get1)
			time.Sleep(time.Hour)
			s.note("after an hour: ", s.replies())
		}},

	{"the answer is not taken",
		outcome{"Write waits for ever", `Write has returned: false`},
		outcome{"it fails after 5 minutes", `Write: ErrConnClosed after 5m0s; Write has returned: true`},
		func(s *scene, w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			_, err := w.Write(make([]byte, 1<<20))
			if time.Since(start) < time.Hour {
				s.note("Write: ", s.lib.errorName(err), " after ", since(start))
			}
		}, func(s *scene) {
			c := s.l.dial()
			defer c.Close()
			io.WriteString(c, wholeK1)
			time.Sleep(2 * time.Hour)
			s.note("Write has returned: ", s.said() > 0)
		}},

	{"the body is not sent, nor read",
		outcome{"the connection stays for ever", `after an hour: ` + hello1},
		outcome{"it is closed after 30 seconds", `after an hour: ` + hello1 + ` closed`},
		sayHello, func(s *scene) {
			s.send(beginN1 + params1(post("CONTENT_LENGTH", "100000")...) + endParams1 + stdin1("x"))
			time.Sleep(time.Hour)
			s.note("after an hour: ", s.replies())
		}},

	{"STDIN before the end of the params",
		outcome{"an empty request", `STDERR(1 "cgi: no REQUEST_METHOD in environment") STDOUT(1 Status: 500 "") END(1 REQUEST_COMPLETE)`},
		outcome{"the connection is closed", `closed`},
		sayHello, func(s *scene) {
			s.send(beginK1 + get1 + endStdin1)
			s.note(s.replies())
		}},

	{"Accept fails for want of descriptors",
		outcome{"Serve returns", `not accepted`},
		outcome{"it is tried again", hello1},
		sayHello, func(s *scene) {
			s.l.errs <- syscall.EMFILE
			here, there := net.Pipe()
			w := newWeb(here)
			defer w.close()
			select {
			case s.l.conns <- there:
				w.send(wholeK1)
				s.note(w.replies())
			case <-time.After(time.Hour):
				s.note("not accepted")
			}
		}},

	{"WriteHeader(103)",
		outcome{"is the final status", `STDOUT(1 Status: 103 "hello") END(1 REQUEST_COMPLETE)`},
		outcome{"is sent before it, or not at all", hello1},
		func(s *scene, w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			io.WriteString(w, "hello")
		}, func(s *scene) {
			s.send(wholeK1)
			s.note(s.replies())
		}},

	{"the answer to HEAD",
		outcome{"has a body", hello1},
		outcome{"has none", `STDOUT(1 Status: 200 "") END(1 REQUEST_COMPLETE)`},
		sayHello, func(s *scene) {
			s.send(beginK1 + params1(get("REQUEST_METHOD", "HEAD")...) + endParams1 + endStdin1)
			s.note(s.replies())
		}},

	{"an answer that is shorter than its length",
		outcome{"is passed off as complete", hello1},
		outcome{"is broken off", `STDOUT(1 Status: 200 "hello") closed`},
		func(s *scene, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "6")
			io.WriteString(w, "hello")
		}, func(s *scene) {
			s.send(wholeK1)
			s.note(s.replies())
		}},

	{"http.ResponseController",
		outcome{"Flush", "Flush: <nil>; SetReadDeadline: feature not supported; SetWriteDeadline: feature not supported; EnableFullDuplex: feature not supported"},
		outcome{"Flush, deadlines, EnableFullDuplex", "Flush: <nil>; SetReadDeadline: <nil>; SetWriteDeadline: <nil>; EnableFullDuplex: <nil>"},
		func(s *scene, w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			s.note("Flush: ", rc.Flush())
			s.note("SetReadDeadline: ", rc.SetReadDeadline(time.Now().Add(time.Hour)))
			s.note("SetWriteDeadline: ", rc.SetWriteDeadline(time.Now().Add(time.Hour)))
			s.note("EnableFullDuplex: ", rc.EnableFullDuplex())
		}, func(s *scene) {
			s.send(wholeK1)
			s.replies()
		}},

	{"params that ProcessEnv leaves out",
		outcome{"cannot be reached", `[]; "" false`},
		outcome{"cgihttp.Params has them, in order", `[REQUEST_METHOD=GET SERVER_PROTOCOL=HTTP/1.1 A=1 A=2 SCRIPT_NAME=/s]; "/s" true`},
		func(s *scene, w http.ResponseWriter, r *http.Request) {
			all := []string{}
			for name, value := range cgihttp.Params(r) {
				all = append(all, name+"="+value)
			}
			s.note(all)
			value, ok := cgihttp.Param(r, "SCRIPT_NAME")
			s.note(fmt.Sprintf("%q %v", value, ok))
		}, func(s *scene) {
			s.send(beginK1 + get1 + params1("A", "1", "A", "2", "SCRIPT_NAME", "/s") + endParams1 + endStdin1)
			s.replies()
		}},

	{"a line for the web server's log",
		outcome{"cannot be written", hello1},
		outcome{"cgihttp.Stderr", `STDERR(1 "for the log\n") ` + hello1},
		func(s *scene, w http.ResponseWriter, r *http.Request) {
			io.WriteString(cgihttp.Stderr(r), "for the log\n")
			io.WriteString(w, "hello")
		}, func(s *scene) {
			s.send(wholeK1)
			s.note(s.replies())
		}},

	{"a short answer",
		outcome{"takes 4 writes", "4 writes"},
		outcome{"takes 1", "1 writes"},
		sayHello, func(s *scene) {
			s.send(wholeK1)
			s.replies()
			s.note(s.writes, " writes")
		}},
}

const (
	hello1 = `STDOUT(1 Status: 200 "hello") END(1 REQUEST_COMPLETE)`
	hello2 = `STDOUT(2 Status: 200 "hello") END(2 REQUEST_COMPLETE)`
)

func sayHello(_ *scene, w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }

// awaitEnd is a handler that waits for the end of its request.
func awaitEnd(s *scene, w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	select {
	case <-r.Context().Done():
		s.note("after ", since(start), ": ", s.lib.errorName(context.Cause(r.Context())))
	case <-time.After(time.Hour):
		s.note("after ", time.Since(start), ": no end")
	}
}

// since leaves out the moment that servers and tests may take.
func since(start time.Time) time.Duration { return time.Since(start).Round(time.Second) }

// errorName names the two errors of a package.
func (lib library) errorName(err error) string {
	switch {
	case errors.Is(err, lib.errAborted):
		return "ErrRequestAborted"
	case errors.Is(err, lib.errClosed):
		return "ErrConnClosed"
	}
	return fmt.Sprint(err)
}
