package recipe

import (
	"runtime"
	"testing"

	"github.com/sluice-gateway/sluice/config"
)

func TestMostProcesses(t *testing.T) {
	cpus := runtime.NumCPU()
	php := max(4, 2*cpus)
	tests := []struct {
		name string
		php  string
		p    config.Processes
		want int
	}{
		{"as it is said", "", config.Processes{Max: 3}, 3},
		{"as it is said, of PHP", "auto", config.Processes{Max: 1}, 1},
		{"one for each CPU", "", config.Processes{}, cpus},
		{"of PHP twice as many", "auto", config.Processes{}, php},
		{"at least min", "", config.Processes{Min: cpus + 1, Scales: true}, cpus + 1},
		{"at least min, of PHP", "auto", config.Processes{Min: php + 1, Scales: true}, php + 1},
		{"at least spare", "", config.Processes{Spare: cpus + 1, Scales: true}, cpus + 1},
		{"at least spare, of PHP", "auto", config.Processes{Min: 1, Spare: php + 2, Scales: true}, php + 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := mostProcesses(config.Backend{PHP: tt.php, Processes: tt.p}); got != tt.want {
				t.Errorf("mostProcesses = %d, want %d", got, tt.want)
			}
		})
	}
}
