package sluice

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/user"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/internal/scale"
	"github.com/sluice-gateway/sluice/pool"
	"github.com/sluice-gateway/sluice/process"
)

// A recipe is how an application is started, all but its log and what asks
// after its requests. To make one nothing is written, and nothing started.
type recipe struct {
	spec      process.Spec
	perWorker int // requests that one worker takes at the same time; 0 if that is not known

	php     PHP        // if it is one
	account *user.User // as whom PHP runs; nil: as ourselves
	file    string     // that must be there before, with content; empty if there is none
	content string
}

// recipeOf returns that of a backend that Sluice runs. root is the folder of
// the files, dir that of the backend's sockets, which need not be there.
func recipeOf(cfg config.Backend, root, dir string) (recipe, error) {
	spec, err := specOf(cfg)
	r := recipe{spec: spec}
	if err == nil && cfg.PHP != "" {
		err = r.addPHP(cfg, root, dir)
	}
	return r, err
}

// writeFile writes what has to be there.
func (r *recipe) writeFile() error {
	if r.file == "" {
		return nil
	}
	return os.WriteFile(r.file, []byte(r.content), 0o600)
}

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

// credentialOf finds out as whom processes run, nil for ourselves. They are in
// all groups that the account is a member of, and in no others.
func credentialOf(as config.Account) (*process.Credential, error) {
	if as.User == "" {
		return nil, nil
	}
	account, err := lookup(as.User, user.Lookup, lookUID)
	if err != nil {
		return nil, fmt.Errorf("there is no user %q on this machine", as.User)
	}
	if as.Group != "" {
		group, err := lookup(as.Group, user.LookupGroup, lookGID)
		if err != nil {
			return nil, fmt.Errorf("there is no group %q on this machine", as.Group)
		}
		with := *account
		with.Gid = group.Gid // in the place of the account's own, as for initgroups(3)
		account = &with
	}
	c, err := credential(account)
	if err != nil {
		return nil, err
	}
	if groups, err := account.GroupIds(); err == nil {
		for _, g := range groups {
			if n, err := strconv.ParseUint(g, 10, 32); err == nil {
				c.Groups = append(c.Groups, uint32(n))
			}
		}
	}
	return c, nil
}

// lookup finds what a name, or else a number, stands for.
func lookup[T any](text string, byName func(string) (*T, error), byNumber func(uint32) (*T, error)) (*T, error) {
	found, err := byName(text)
	if err == nil {
		return found, nil
	}
	if n, e := strconv.ParseUint(text, 10, 32); e == nil {
		return byNumber(uint32(n))
	}
	return nil, err
}

func lookGID(gid uint32) (*user.Group, error) {
	return &user.Group{Gid: strconv.FormatUint(uint64(gid), 10)}, nil
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

// ruleOf says how the number of processes follows the load. perProcess is how
// many requests one takes at a time, 0 if that is not known.
func ruleOf(cfg config.Backend, perProcess int) scale.Rule {
	most := mostProcesses(cfg)
	r := scale.Rule{Min: most, Max: most, Per: perProcess, Idle: cfg.Processes.IdleTimeout}
	if cfg.Processes.Scales {
		r.Min, r.Spare = cfg.Processes.Min, cfg.Processes.Spare
	}
	if r.Idle == 0 {
		r.Idle = defaultIdleProcess
	}
	return r
}

// rule is that of the processes that we start. A php-fpm is one for us, and looks
// after those that it forks as its configuration says.
func (r *recipe) rule(cfg config.Backend) scale.Rule {
	rule := ruleOf(cfg, cmp.Or(cfg.MaxLoad, r.perWorker))
	if r.php.FPM {
		rule.Min, rule.Max, rule.Spare = 1, 1, 0
	}
	return rule
}

// recycler looks after the same.
func (r *recipe) recycler(cfg config.Backend) recycler {
	if r.php.FPM {
		return recycler{}
	}
	p := cfg.Processes
	return recycler{maxRequests: uint64(max(p.MaxRequests, 0)), hung: max(p.HungTimeout, 0)}
}

// idle waits until no request is with a process that has left the list.
func (b *backend) idle(ctx context.Context, m process.Member) {
	b.pool.Idle(ctx, m.Network, m.Address) // an error tells that nobody waits any more
}

// ready returns how many processes take requests.
func (b *backend) ready() (n int) {
	for _, s := range b.group.Status() {
		if s.State == process.Ready && !s.Dead {
			n++
		}
	}
	return n
}

// slots returns how many processes there are, or are to be: also those that have
// not come up.
func (b *backend) slots() (n int) {
	for _, s := range b.group.Status() {
		if s.State < process.Draining {
			n++
		}
	}
	return n
}

// newsOfAnEnd is how long it is waited for the end of a process that has lost a
// connection.
const newsOfAnEnd = 300 * time.Millisecond

// killed is for gateway.Backend.
func (b *backend) killed(ctx context.Context, worker pool.Endpoint, since time.Time) bool {
	ctx, cancel := context.WithTimeout(ctx, newsOfAnEnd)
	defer cancel()
	return b.group.Killed(ctx, worker.Network, worker.Address, since)
}

// load returns how many requests are with a process.
func (b *backend) load(m process.Member) int { return b.pool.LoadAt(m.Network, m.Address) }

// Check reports what would keep the processes of a configuration from starting
// on this machine, as far as that can be seen without starting one: programs,
// folders and accounts that are not there, limits that cannot be set. The
// configuration has been resolved.
func Check(cfg *config.Config) (problems []error) {
	for _, b := range cfg.Backends {
		if len(b.Connect) > 0 {
			continue
		}
		r, err := recipeOf(b, cfg.Root, os.TempDir())
		if err == nil {
			err = r.spec.Check()
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("backend %q: %w", b.Name, err))
		}
	}
	return problems
}
