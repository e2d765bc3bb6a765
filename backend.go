package sluice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/internal/address"
	"github.com/sluice-gateway/sluice/pool"
	"github.com/sluice-gateway/sluice/process"
)

// A backend is a running one: its pool, its connections and, if Sluice runs
// the application, its processes.
type backend struct {
	cfg    config.Backend
	root   string // that PHP was started for
	pool   *pool.Pool
	client *fastcgi.Client
	group  *process.Group // nil if somebody else runs the application
	dir    string         // of the sockets, removed at the end
	users  atomic.Int32   // snapshots that use it
}

// startBackend starts what a backend needs. root is the folder of the files.
func startBackend(cfg config.Backend, root string, log *slog.Logger) (*backend, error) {
	b := &backend{cfg: cfg, root: root, client: newClient(cfg, log.With(slog.String("backend", cfg.Name)))}
	b.users.Store(1)
	var source pool.Source
	maxLoad := cfg.MaxLoad
	if len(cfg.Connect) > 0 {
		source = endpoints(cfg.Connect)
	} else {
		perSlot, err := b.startGroup(log)
		if err != nil {
			b.removeDir()
			return nil, err
		}
		if maxLoad == 0 {
			maxLoad = perSlot
		}
		source = groupSource{b.group}
	}
	b.pool = pool.New(pool.Config{
		Name: cfg.Name, MaxLoad: maxLoad, MaxQueue: cfg.Queue.Max, QueueTimeout: cfg.Queue.Timeout, Log: log,
	})
	b.pool.Watch(source)
	return b, nil
}

func newClient(cfg config.Backend, log *slog.Logger) *fastcgi.Client {
	return &fastcgi.Client{
		DialTimeout:      cfg.Timeout.Dial,
		FirstByteTimeout: cfg.Timeout.FirstByte,
		ReadTimeout:      cfg.Timeout.Read,
		WriteTimeout:     cfg.Timeout.Write,
		MaxIdle:          cfg.KeepIdle,
		Multiplex:        cfg.Multiplex,
		Log:              log,
	}
}

// endpoints returns the workers that somebody else runs. config.Parse has
// checked the addresses.
func endpoints(connect []string) pool.Static {
	var list pool.Static
	for _, worker := range connect {
		at, err := address.Parse(worker)
		if err == nil {
			list = append(list, pool.Endpoint{Network: at.Network, Address: at.Address})
		}
	}
	return list
}

// startGroup starts the processes and returns how many requests one slot takes
// at the same time.
func (b *backend) startGroup(log *slog.Logger) (perSlot int, err error) {
	b.dir, err = os.MkdirTemp(runtimeDir(), "sluice-")
	if err != nil {
		return 0, fmt.Errorf("sluice: backend %q: make a folder for its sockets: %w", b.cfg.Name, err)
	}
	spec := process.Spec{
		Name:        b.cfg.Name,
		Args:        b.cfg.Command,
		Dir:         b.cfg.Dir,
		Env:         process.CleanEnv(environment(b.cfg.Env)...),
		StopSignal:  b.cfg.Stop.Signal,
		StopTimeout: b.cfg.Stop.Timeout,
		Refusal:     fastcgi.AppendEndRequest(nil, fastcgi.FirstRequestID, fastcgi.End{Status: fastcgi.Overloaded}),
		Log:         log,
	}
	slots := b.cfg.Processes.Max
	if slots == 0 {
		slots = runtime.NumCPU()
	}
	if b.cfg.PHP != "" {
		slots, perSlot, err = b.phpSpec(&spec, slots)
		if err != nil {
			return 0, err
		}
	}
	if b.group, err = process.NewGroup(spec, slots, b.dir); err != nil {
		return 0, err
	}
	if err := b.group.Start(); err != nil {
		return 0, errors.Join(err, b.group.Stop(context.Background()))
	}
	return perSlot, nil
}

// runtimeDir is where folders of sockets are made: short, ours, and gone after
// a restart of the machine.
func runtimeDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return os.TempDir()
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

// phpSpec fills in how PHP is started. php-fpm is one process for us, which
// forks its own; php-cgi serves one request at a time.
func (b *backend) phpSpec(spec *process.Spec, processes int) (slots, perSlot int, err error) {
	php, err := choosePHP(b.cfg.PHP)
	if err != nil {
		return 0, 0, fmt.Errorf("sluice: backend %q: %w", b.cfg.Name, err)
	}
	account, err := phpAccount(b.root)
	if err != nil {
		return 0, 0, err
	}
	if b.cfg.Processes.Max == 0 {
		processes = max(minPHPProcesses, 2*runtime.NumCPU())
	}
	as := "ourselves"
	if account != nil {
		as = account.Username
		if dir := closedTo(b.root, account); dir != "" {
			spec.Log.Error("php cannot come to the root: its scripts will not be found",
				slog.String("backend", b.cfg.Name), slog.String("root", b.root), slog.String("as", as), slog.String("closed", dir),
				slog.String("hint", "let "+as+" enter "+dir+" (chmod o+x), or move the root"))
		}
	}
	spec.Log.Info("starting php", slog.String("backend", b.cfg.Name), slog.String("program", php.Path), slog.Int("processes", processes), slog.String("as", as))
	if !php.FPM {
		spec.Args = []string{php.Path}
		spec.Env = append(spec.Env, "PHP_FCGI_CHILDREN=0", "PHP_FCGI_MAX_REQUESTS=0")
		spec.Credential, err = credential(account)
		return processes, 1, err
	}
	return 1, processes, b.fpmSpec(spec, php, processes, account)
}

func (b *backend) fpmSpec(spec *process.Spec, php PHP, processes int, account *user.User) error {
	socket := filepath.Join(b.dir, "php.sock")
	file := filepath.Join(b.dir, "php-fpm.conf")
	if err := os.WriteFile(file, []byte(fpmConfig(socket, processes, account, b.cfg.Stop.Timeout)), 0o600); err != nil {
		return fmt.Errorf("sluice: backend %q: %w", b.cfg.Name, err)
	}
	spec.Args = []string{php.Path, "--nodaemonize", "--fpm-config", file}
	spec.Listen, spec.Address = process.BySelf, "unix:"+socket
	spec.StopSignal = fpmStop
	return nil
}

// choosePHP finds the PHP that a configuration names: "auto" or a program.
func choosePHP(name string) (PHP, error) {
	if name == "auto" {
		php, ok := FindPHP(os.Getenv("PATH"))
		if !ok {
			return PHP{}, errors.New("neither php-fpm nor php-cgi is installed: install one (Debian: apt install php-fpm), or name it with php = \"/path\"")
		}
		return php, nil
	}
	return PHP{Path: name, FPM: strings.HasPrefix(filepath.Base(name), "php-fpm")}, nil
}

// same reports whether a backend can go on under a new configuration.
func (b *backend) same(cfg config.Backend, root string) bool {
	return b.cfg.Equal(cfg) && (cfg.PHP == "" || b.root == root)
}

// release gives up a snapshot's use; the last one ends the backend.
func (b *backend) release(ctx context.Context) error {
	if b.users.Add(-1) > 0 {
		return nil
	}
	b.pool.Close()
	b.client.Close()
	var err error
	if b.group != nil {
		err = b.group.Stop(ctx)
	}
	b.removeDir()
	return err
}

func (b *backend) removeDir() {
	if b.dir != "" {
		os.RemoveAll(b.dir)
	}
}

// A groupSource tells a pool where the processes of a group are that are
// ready.
type groupSource struct{ group *process.Group }

// Watch implements pool.Source.
func (s groupSource) Watch(ctx context.Context, set func([]pool.Endpoint)) error {
	return s.group.Watch(ctx, func(members []process.Member) {
		list := make([]pool.Endpoint, 0, len(members))
		for _, m := range members {
			list = append(list, pool.Endpoint{Network: m.Network, Address: m.Address})
		}
		set(list)
	})
}
