package recipe

import (
	"cmp"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/process"
)

// specOf says how processes are started, as far as that is the same for a command
// and for PHP.
func specOf(cfg config.Backend) (process.Spec, error) {
	s := process.Spec{
		Name:         cfg.Name,
		Args:         cfg.Command,
		Dir:          cfg.Dir,
		Env:          process.CleanEnv(append(copied(cfg.CopyEnv), environment(cfg.Env)...)...),
		Isolation:    isolation(cfg),
		StopSignal:   cfg.Stop.Signal,
		StopTimeout:  cfg.Stop.Timeout,
		StartTimeout: cfg.Processes.StartTimeout,
		DrainTimeout: -1, // requests have bounds of their own
		MaxAge:       max(cfg.Processes.MaxAge, 0),
		MaxMemory:    max(cfg.Processes.MaxMemory, 0),
		Refusal:      fastcgi.AppendEndRequest(nil, fastcgi.FirstRequestID, fastcgi.End{Status: fastcgi.Overloaded}),
	}
	var err error
	s.Credential, err = credentialOf(cfg.As)
	return s, err
}

// copied returns those of our environment variables that have the names.
func copied(names []string) (list []string) {
	for _, name := range names {
		if value, ok := os.LookupEnv(name); ok {
			list = append(list, name+"="+value)
		}
	}
	return list
}

// environment returns entries "NAME=value" in a stable order.
func environment(env map[string]string) []string {
	var list []string
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// isolation puts a configuration, whose texts config.Parse has checked, into
// the words of package process.
func isolation(cfg config.Backend) process.Isolation {
	i := process.Isolation{Chroot: cfg.Chroot, Nice: cfg.Nice, NoNewPrivs: cfg.NoNewPrivileges}
	if n, err := strconv.ParseUint(cfg.Umask, 8, 16); err == nil {
		mask := fs.FileMode(n)
		i.Umask = &mask
	}
	for name, text := range cfg.Limits {
		soft, hard, both := strings.Cut(text, ":")
		if !both {
			hard = soft
		}
		i.Limits = append(i.Limits, process.Limit{Name: name, Soft: amount(soft), Hard: amount(hard)})
	}
	slices.SortFunc(i.Limits, func(a, b process.Limit) int { return cmp.Compare(a.Name, b.Name) })
	return i
}

func amount(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return math.MaxUint64 // "unlimited"
	}
	return n
}
