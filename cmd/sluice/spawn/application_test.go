package spawn

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/process"
)

// Zero is a number for whoever types it, and the default for package process.
func TestSpecOfZeros(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		got  func(process.Spec) any
		want any
	}{
		{"row of deaths", nil, func(s process.Spec) any { return s.Backoff.Healthy }, defaultHealthy},
		{"every death begins a new row", []string{"--timeout", "0"}, func(s process.Spec) any { return s.Backoff.Healthy }, time.Duration(1)},
		{"stop timeout", nil, func(s process.Spec) any { return s.StopTimeout }, defaultStop},
		{"killed at once", []string{"--stop-timeout", "0"}, func(s process.Spec) any { return s.StopTimeout }, time.Duration(1)},
		{"never killed", []string{"--stop-timeout", "-1s"}, func(s process.Spec) any { return s.StopTimeout }, -time.Second},
		{"never given up", nil, func(s process.Spec) any { return s.Backoff.Limit }, -1},
		{"given up at the first death", []string{"--retry", "0"}, func(s process.Spec) any { return s.Backoff.Limit }, 1},
	} {
		p, err := planOf(t, "spawn", append(tt.args, "-s", "/a", "--", "/bin/sh")...)
		if err != nil {
			t.Fatal(err)
		}
		if got := tt.got(p.spec(new(readiness), nil)); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
