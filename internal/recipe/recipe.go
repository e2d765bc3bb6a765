// Package recipe knows how applications are started: as whom, with what, how
// many, and what PHP wants besides.
package recipe

import (
	"os"
	"os/user"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/process"
)

// A Recipe is how an application is started. To make one nothing is written,
// and nothing started.
type Recipe struct {
	// Spec is all that the group of the processes has to know, but for a log and
	// those who can tell of requests.
	Spec process.Spec

	// MaxLoad is how many requests one process takes at the same time; 0 if
	// that is not known.
	MaxLoad int

	// MaxRequests and HungTimeout are how long a process serves, as far as we are
	// to see to it; 0: no limit.
	MaxRequests uint64
	HungTimeout time.Duration

	cfg  config.Backend
	root string

	php     PHP        // if it is one
	account *user.User // as whom PHP runs; nil: as ourselves
	file    string     // that must be there before, with content; empty if there is none
	content string
}

// Of returns the recipe of a backend that Sluice runs. root is the folder of the
// files, dir that of the backend's sockets, which need not be there.
func Of(cfg config.Backend, root, dir string) (*Recipe, error) {
	spec, err := specOf(cfg)
	if err != nil {
		return nil, err
	}
	r := &Recipe{
		Spec:        spec,
		MaxLoad:     cfg.MaxLoad,
		MaxRequests: uint64(max(cfg.Processes.MaxRequests, 0)),
		HungTimeout: max(cfg.Processes.HungTimeout, 0),
		cfg:         cfg,
		root:        root,
	}
	if cfg.PHP != "" {
		err = r.addPHP(dir)
	}
	return r, err
}

// WriteFile writes what has to be there before the first process.
func (r *Recipe) WriteFile() error {
	if r.file == "" {
		return nil
	}
	return os.WriteFile(r.file, []byte(r.content), 0o600)
}

// Check reports what would keep the processes of a backend from starting on this
// machine, as far as that can be seen without starting one: a program, a folder
// or an account that is not there, a limit that cannot be set. root is the folder
// of the files.
func Check(cfg config.Backend, root string) error {
	r, err := Of(cfg, root, os.TempDir())
	if err != nil {
		return err
	}
	return r.Spec.Check()
}
