package sluice

import (
	"fmt"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/recipe"
)

// Check reports what would keep the processes of a configuration from starting
// on this machine, as far as that can be seen without starting one: programs,
// folders and accounts that are not there, limits that cannot be set. The
// configuration has been resolved.
func Check(cfg *config.Config) (problems []error) {
	for _, b := range cfg.Backends {
		if len(b.Connect) > 0 {
			continue
		}
		if err := recipe.Check(b, cfg.Root); err != nil {
			problems = append(problems, fmt.Errorf("backend %q: %w", b.Name, err))
		}
	}
	return problems
}
