package outcome

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	lost := errors.New("sluice: socket lost")
	for _, tt := range []struct {
		name   string
		err    error
		status int
		said   string
	}{
		{"all is well", nil, 0, ""},
		{"all is said", Code(7), 7, ""},
		{"all is said, below", fmt.Errorf("asked: %w", Code(7)), 7, ""},
		{"command line", errors.New("no flag -x"), 2, `p: no flag -x|p: hint: see "p --help"|`},
		{"failure", Failf("port %d is taken", 80), 1, "p: port 80 is taken|"},
		{"failure with a hint", &Failure{lost, "make it"}, 1, "p: socket lost|p: hint: make it|"},
		{"failure below", fmt.Errorf("start: %w", &Failure{lost, "make it"}), 1, "p: start: sluice: socket lost|p: hint: make it|"},
		{"several", Fail(errors.Join(lost, errors.New("and more"))), 1, "p: socket lost|p: and more|"},
		{"marked twice", Fail(Fail(lost)), 1, "p: socket lost|"},
		{"nothing, marked", Fail(nil), 0, ""},
	} {
		var said strings.Builder
		status := Report(&said, "p", tt.err, "p --help")
		if got := strings.ReplaceAll(said.String(), "\n", "|"); status != tt.status || got != tt.said {
			t.Errorf("%s: exit status %d, %q, want %d, %q", tt.name, status, got, tt.status, tt.said)
		}
	}
}
