package fcgitest_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// verifyNoLeak fails t if it leaves a goroutine behind. It is called first, so
// that its Cleanup is the last. What an earlier test left is not t's fault.
func verifyNoLeak(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}
