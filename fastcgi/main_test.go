package fastcgi_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == asNetHTTPFCGI {
		serveNetHTTPFCGI()
	}
	goleak.VerifyTestMain(m)
}
