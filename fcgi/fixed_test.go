package fcgi

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
)

// A fixedTest is something that goes wrong in the standard package, and what
// happens in both.
type fixedTest struct {
	what string
	std  outcome
	ours outcome

	handler func(s *scene, w http.ResponseWriter, r *http.Request)
	talk    func(s *scene)
}

// An outcome is a sentence for the package documentation and what the test
// sees.
type outcome struct{ text, seen string }

// A scene is one run of a fixedTest. What happens is written down in order.
type scene struct {
	*web
	lib library
	l   *pipeListener

	mu   sync.Mutex
	seen []string
}

// note writes something down.
func (s *scene) note(a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, fmt.Sprint(a...))
}

// said counts the notes.
func (s *scene) said() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

func TestFixed(t *testing.T) {
	for _, tt := range fixedTests {
		for _, lib := range both {
			t.Run(tt.what+"/"+lib.name, func(t *testing.T) {
				s := &scene{lib: lib}
				inBubble(t, lib, func(w http.ResponseWriter, r *http.Request) { tt.handler(s, w, r) }, func(t *testing.T, l *pipeListener) {
					s.l, s.web = l, newWeb(l.dial())
					tt.talk(s)
					s.close()
				})
				want := tt.ours
				if lib.name == theirs.name {
					want = tt.std
				}
				if got := strings.Join(s.seen, "; "); got != want.seen {
					t.Errorf("seen: %s\nwant: %s", got, want.seen)
				}
			})
		}
	}
}

// The table in the package documentation is the one above.
func TestFixedIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	row := func(what, std, ours string) {
		line := fmt.Sprintf("//\t%-42s%-36s%s", what, std, ours)
		fmt.Fprintln(&want, strings.TrimRight(line, " "))
	}
	row("", "net/http/fcgi", "fcgi")
	for _, tt := range append(fixedTests, fixedElsewhere...) {
		row(tt.what, tt.std.text, tt.ours.text)
	}
	if !strings.Contains(string(doc), "//\n"+want.String()+"//\n") {
		t.Errorf("doc.go does not have this table:\n%s", want.String())
	}
}
