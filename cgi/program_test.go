package cgi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

func TestProgram(t *testing.T) {
	get := []string{"GATEWAY_INTERFACE=CGI/1.1", "REQUEST_METHOD=GET", "HTTP_X=a=b", "SHELL=/bin/sh"}
	post := append(get[:1:1], "REQUEST_METHOD=POST")
	tests := []struct {
		name           string
		env            []string
		stdin          string
		stdout, stderr string
		err            error
	}{
		{"not CGI", get[1:], "", "", "", ErrNotCGI},
		{"empty", append(get[1:2:2], "GATEWAY_INTERFACE="), "", "", "", ErrNotCGI},
		{"GET", get, "ignored", "Status: 200 OK\r\n\r\n0 <nil> a=b", "", nil},
		{"HEAD", append(get[:1:1], "REQUEST_METHOD=HEAD"), "", "Status: 200 OK\r\n\r\n", "", nil},
		{"no method", get[:1], "", "Status: 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nBad Request\n", "cgi: malformed: no REQUEST_METHOD\n", nil},
		{"POST", append(post, "CONTENT_LENGTH=4"), "bodyandmore", "Status: 200 OK\r\n\r\n4 body <nil> ", "", nil},
		{"POST that is cut", append(post, "CONTENT_LENGTH=5"), "body", "Status: 200 OK\r\n\r\n5 body unexpected EOF ", "", nil},
		{"POST without a length", post, "body", "Status: 200 OK\r\n\r\n0 <nil> ", "", nil},
		{"chunked", append(post, "HTTP_TRANSFER_ENCODING=chunked"), "body", "Status: 200 OK\r\n\r\n-1 body <nil> ", "", nil},
		{"panic", append(get, "REQUEST_URI=/panic"), "", "Status: 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n", "panic serving GET /panic: oops", nil},
		{"exit", append(get, "REQUEST_URI=/exit"), "", "Status: 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n", "", nil},
		{"abort", append(get, "REQUEST_URI=/abort"), "", "Status: 200 OK\r\n\r\npart", "", errAborted},
		{"note", append(get, "REQUEST_URI=/note"), "", "Status: 200 OK\r\n\r\n", "a note", nil},
		{"long", append(get, "REQUEST_URI=/long"), "", "Status: 200 OK\r\n\r\n" + strings.Repeat("x", 3*gatherSize), "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			err := Program{tt.env, strings.NewReader(tt.stdin), &stdout, &stderr}.Serve(t.Context(), HandlerFunc(program))
			if stdout.String() != tt.stdout || !strings.HasPrefix(stderr.String(), tt.stderr) || !errors.Is(err, tt.err) {
				t.Errorf("stdout %q, stderr %q, error %v, want %q, %q, %v", stdout.String(), stderr.String(), err, tt.stdout, tt.stderr, tt.err)
			}
		})
	}
}

func program(_ context.Context, w ResponseWriter, r *Request) {
	switch r.Path() {
	case "/panic":
		io.WriteString(w, "to be replaced")
		panic("oops")
	case "/exit":
		runtime.Goexit()
	case "/abort":
		io.WriteString(w, "part")
		w.Flush()
		w.Abort()
	case "/note":
		io.WriteString(Stderr(w), "a note")
	case "/long":
		for range 3 * 8 {
			io.WriteString(w, strings.Repeat("x", 1<<10))
		}
	default:
		var body []byte
		var err error
		if fmt.Fprint(w, r.ContentLength, " "); r.Body != nil {
			body, err = io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s ", body)
		}
		fmt.Fprint(w, err, " ", r.Header.Get("X"))
	}
}

// A Read that waits for input which does not come can be given up.
func TestProgramBodyIsCancelled(t *testing.T) {
	never, w := io.Pipe()
	defer w.Close()
	env := []string{"GATEWAY_INTERFACE=CGI/1.1", "REQUEST_METHOD=POST", "CONTENT_LENGTH=1"}
	err := Program{env, never, io.Discard, io.Discard}.Serve(t.Context(), HandlerFunc(func(_ context.Context, _ ResponseWriter, r *Request) {
		r.Body.Cancel()
		if _, err := r.Body.Read(make([]byte, 1)); err == nil {
			t.Error("no error")
		}
	}))
	if err != nil {
		t.Error(err)
	}
}

func TestProgramWhoseReaderIsGone(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	env := []string{"GATEWAY_INTERFACE=CGI/1.1", "REQUEST_METHOD=GET"}
	if err := (Program{env, nil, io.Discard, io.Discard}).Serve(ctx, HandlerFunc(program)); err != gone {
		t.Errorf("error %v, want %v", err, gone)
	}
	if err := (Program{env, nil, brokenPipe{}, io.Discard}).Serve(t.Context(), HandlerFunc(program)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v, want %v", err, io.ErrClosedPipe)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
