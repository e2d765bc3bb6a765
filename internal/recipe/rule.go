package recipe

import (
	"cmp"
	"runtime"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/scale"
)

const (
	// defaultIdle is how long a process that is not needed stays: longer than
	// people pause between two pages.
	defaultIdle = time.Minute

	// minPHPProcesses is how many processes PHP has at the least: pages wait
	// for databases and for each other.
	minPHPProcesses = 4
)

// Rule says how the number of processes that we start follows the load. cfg is
// the backend's configuration, in which other numbers of processes may stand by
// now. A php-fpm is one process for us, and looks after those that it forks as
// its own configuration says.
func (r *Recipe) Rule(cfg config.Backend) scale.Rule {
	p, most := cfg.Processes, mostProcesses(cfg)
	rule := scale.Rule{Min: most, Max: most, Per: r.MaxLoad, Idle: cmp.Or(p.IdleTimeout, defaultIdle)}
	switch {
	case r.FPM():
		rule.Min, rule.Max = 1, 1
	case p.Scales:
		rule.Min, rule.Spare = p.Min, p.Spare
	}
	return rule
}

// mostProcesses is how many processes a backend has, or may have.
func mostProcesses(cfg config.Backend) int {
	p := cfg.Processes
	if p.Max > 0 {
		return p.Max
	}
	most := runtime.NumCPU()
	if cfg.PHP != "" {
		most = max(minPHPProcesses, 2*most)
	}
	return max(most, p.Min, p.Spare)
}
