package fcgi

import (
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"

	standard "net/http/fcgi"

	"go.uber.org/goleak"
)

// A library is one of the two packages.
type library struct {
	name  string
	serve func(net.Listener, http.Handler) error
	env   func(*http.Request) map[string]string

	errAborted, errClosed error
}

var (
	theirs = library{"net/http/fcgi", standard.Serve, standard.ProcessEnv, standard.ErrRequestAborted, standard.ErrConnClosed}
	ours   = library{"fcgi", Serve, ProcessEnv, ErrRequestAborted, ErrConnClosed}
	both   = []library{theirs, ours}
)

// childVariable makes this program an application, of the library it names.
const childVariable = "FCGI_TEST_CHILD"

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the tests do much that goes wrong
	for _, lib := range both {
		if os.Getenv(childVariable) == lib.name {
			lib.serve(nil, http.HandlerFunc(panicOrHello))
			os.Exit(3)
		}
	}
	http.HandleFunc("/for-the-default-mux", panicOrHello) // here, because a test may run twice
	goleak.VerifyTestMain(m)
}
