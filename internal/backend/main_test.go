package backend

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
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
		time.AfterFunc(2*time.Minute, func() { os.Exit(9) }) // it never outlives the test for long
		fmt.Fprintln(os.Stderr, fastcgi.Serve(nil, cgi.HandlerFunc(application)))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// application answers with the number of its process.
func application(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
	io.WriteString(w, strconv.Itoa(os.Getpid()))
}
