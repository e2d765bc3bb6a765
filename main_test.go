package sluice

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
	"go.uber.org/goleak"
)

// The test binary is its own application: this variable says so.
const workerVariable = "SLUICE_TEST_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(workerVariable) != "" {
		if os.Getenv("SLUICE_TEST_STUBBORN") != "" {
			signal.Ignore(syscall.SIGTERM)
		}
		time.AfterFunc(2*time.Minute, func() { os.Exit(9) }) // it never outlives the test for long
		fmt.Fprintln(os.Stderr, fastcgi.Serve(nil, cgi.HandlerFunc(application)))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// application answers with the number of its process. /hold answers only when
// the file of the query is there, /die does not; applicationPaths has more.
func application(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	if h := applicationPaths[r.Path()]; h != nil {
		h(ctx, w, r)
		return
	}
	switch r.Path() {
	case "/hold":
		w.WriteHeader(200, nil)
		w.Flush()
		for ctx.Err() == nil {
			if _, err := os.Stat(r.Query()); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond) // another process makes it
		}
	case "/die":
		os.Exit(3)
	case "/echo":
		io.Copy(w, r.Body)
		return
	}
	io.WriteString(w, strconv.Itoa(os.Getpid()))
}
