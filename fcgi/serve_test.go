package fcgi

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/internal/testlog"
)

// Serve returns the error of Accept as it is, and requests go on.
func TestServeEnds(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name string
		end  func(l *pipeListener)
		want error
	}{
		{"listener closed", func(l *pipeListener) { l.Close() }, errListenerClosed},
		{"listener fails", func(l *pipeListener) { l.errs <- broken }, broken},
	}
	for _, tt := range tests {
		for _, lib := range both {
			t.Run(tt.name+"/"+lib.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newPipeListener()
					served := make(chan error)
					go func() { served <- lib.serve(l, http.HandlerFunc(panicOrHello)) }()
					w := newWeb(l.dial())
					defer w.close()
					tt.end(l)
					if err := <-served; err != tt.want {
						t.Errorf("Serve = %v, want %v", err, tt.want)
					}
					w.send(wholeK1)
					if got := w.replies(); got != hello1 {
						t.Errorf("on a connection that was there before: %s", got)
					}
				})
			})
		}
	}
}

// A deadline lets a program look around, and go on.
func TestServeAgain(t *testing.T) {
	for _, lib := range both {
		t.Run(lib.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				l.(*net.TCPListener).SetDeadline(time.Unix(1, 0))
				if err := lib.serve(l, nil); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("Serve = %v, want %v", err, os.ErrDeadlineExceeded)
				}
			}
			l.Close()
			if err := lib.serve(l, nil); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Serve = %v, want %v", err, net.ErrClosed)
			}
		})
	}
}

// Without a listener it is os.Stdin, which need not be descriptor 0.
// TestSameProgram has one that is a socket.
func TestServeStdin(t *testing.T) {
	defer func(stdin *os.File) { os.Stdin = stdin }(os.Stdin)
	var err error
	if os.Stdin, err = os.Create(filepath.Join(t.TempDir(), "no socket")); err != nil {
		t.Fatal(err)
	}
	defer os.Stdin.Close()
	for _, lib := range both {
		if err := lib.serve(nil, nil); err == nil {
			t.Errorf("%s: Serve returned nil for a standard input that is no socket", lib.name)
		}
	}
}

func TestServeDefaultHandler(t *testing.T) {
	for _, lib := range both {
		synctest.Test(t, func(t *testing.T) {
			l := newPipeListener()
			served := make(chan error)
			go func() { served <- lib.serve(l, nil) }()
			w := newWeb(l.dial())
			w.send(beginK1 + params1(get("REQUEST_URI", "/for-the-default-mux")...) + endParams1 + endStdin1)
			if got := w.replies(); got != hello1 {
				t.Errorf("%s: %s", lib.name, got)
			}
			w.close()
			l.Close()
			<-served
		})
	}
}

// A panic is told to whoever reads the program's log.
func TestServeLogs(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	var log testlog.Buffer
	slog.SetDefault(log.Logger())
	inBubble(t, ours, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		panic("oops")
	}, func(t *testing.T, l *pipeListener) {
		w := newWeb(l.dial())
		defer w.close()
		w.send(wholeK1)
		if got := w.replies(); !strings.Contains(got, "panic serving GET /: oops") || !strings.HasSuffix(got, `closed`) {
			t.Errorf("replies = %s", got)
		}
	})
	if found := log.With("level=ERROR", `msg="handler panicked"`, "panic=oops"); len(found) != 1 {
		t.Errorf("log:\n%s", log.String())
	}
}
