package sluice

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
)

// Each backend is looked at whose processes would be ours.
func TestCheck(t *testing.T) {
	cfg := &config.Config{Backends: []config.Backend{
		{Name: "well", Command: []string{"/bin/true"}},
		{Name: "foreign", Connect: []string{"unix:/nonexistent"}},
		{Name: "missing", Command: []string{"/nonexistent"}},
		{Name: "nobody's", Command: []string{"/bin/true"}, As: config.Account{User: "nobody-there"}},
	}}
	problems := Check(cfg)
	if len(problems) != 2 || !strings.HasPrefix(problems[0].Error(), `backend "missing": `) || !strings.HasPrefix(problems[1].Error(), `backend "nobody's": `) {
		t.Errorf("Check = %v, want one of missing and one of nobody's", problems)
	}
}
