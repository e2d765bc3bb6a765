package sluice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/internal/address"
	"github.com/sluice-gateway/sluice/internal/watch"
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

	scaler   *scaler // nil if there are always as many processes
	recycler recycler
	watcher  watcher
	ours     []string     // files that Sluice writes
	users    atomic.Int32 // snapshots that use it
}

// startBackend starts what a backend needs. root is the folder of the files, and
// ours are files that Sluice writes.
func startBackend(cfg config.Backend, root string, ours []string, log *slog.Logger) (*backend, error) {
	b := &backend{cfg: cfg, root: root, ours: ours, client: newClient(cfg, log.With(slog.String("backend", cfg.Name)))}
	b.users.Store(1)
	var source pool.Source
	maxLoad := cfg.MaxLoad
	if len(cfg.Connect) > 0 {
		source = endpoints(cfg.Connect)
	} else {
		perWorker, err := b.startGroup(log)
		if err != nil {
			b.removeDir()
			return nil, fmt.Errorf("sluice: backend %q: %w", cfg.Name, err)
		}
		if maxLoad == 0 {
			maxLoad = perWorker
		}
		b.recycler = recycler{maxRequests: uint64(max(cfg.Processes.MaxRequests, 0)), hung: max(cfg.Processes.HungTimeout, 0)}
		source = groupSource{b.group, &b.recycler, b.client}
	}
	c := pool.Config{Name: cfg.Name, MaxLoad: maxLoad, MaxQueue: cfg.Queue.Max, QueueTimeout: cfg.Queue.Timeout, Log: log}
	if b.scaler != nil {
		c.Waiting = b.scaler.waiting
	}
	b.pool = pool.New(c)
	b.pool.Watch(source)
	if b.scaler != nil {
		b.scaler.start(b.pool, b.group)
	}
	if b.group != nil && b.recycler.needed() && cfg.PHP == "" {
		b.recycler.start(b.pool, b.group)
	}
	if b.group != nil {
		b.watcher.start(b.group, log.With(slog.String("backend", cfg.Name)))
	}
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

// startGroup starts the processes and returns how many requests one worker
// takes at the same time, 0 if that is not known.
func (b *backend) startGroup(log *slog.Logger) (perWorker int, err error) {
	b.dir, err = os.MkdirTemp(runtimeDir(), "sluice-")
	if err != nil {
		return 0, fmt.Errorf("make a folder for its sockets: %w", err)
	}
	spec, err := specOf(b.cfg)
	if err != nil {
		return 0, err
	}
	spec.Log, spec.Idle, spec.Ping = log, b.idle, b.ping
	if b.cfg.PHP != "" {
		if perWorker, err = b.phpSpec(&spec); err != nil {
			return 0, err
		}
	}
	rule := ruleOf(b.cfg, cmp.Or(b.cfg.MaxLoad, perWorker))
	begin := rule.Floor()
	if spec.Listen == process.BySelf { // it has a number of processes of its own
		begin = 1
	} else if !rule.Fixed() {
		b.scaler = newScaler(rule)
	}
	if err = b.watcher.look(watch.Files{Paths: b.cfg.Watch, Except: b.ours, Log: log.With(slog.String("backend", b.cfg.Name))}); err != nil {
		return 0, fmt.Errorf("watch: %w", err)
	}
	if b.group, err = process.NewGroup(spec, begin, b.dir); err != nil {
		return 0, err
	}
	if err := b.group.Start(); err != nil {
		return 0, errors.Join(err, b.group.Stop(context.Background()))
	}
	return perWorker, nil
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

// phpSpec fills in how PHP is started. php-fpm is one process for us, which
// forks its own; php-cgi serves one request at a time.
func (b *backend) phpSpec(spec *process.Spec) (perWorker int, err error) {
	php, err := choosePHP(b.cfg.PHP)
	if err != nil {
		return 0, err
	}
	account, err := b.phpAccount()
	if err != nil {
		return 0, err
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
	spec.Log.Info("starting php", slog.String("backend", b.cfg.Name), slog.String("program", php.Path), slog.Int("processes", mostProcesses(b.cfg)), slog.String("as", as))
	if !php.FPM {
		spec.Args = []string{php.Path}
		spec.Env = append(spec.Env, "PHP_FCGI_CHILDREN=0", "PHP_FCGI_MAX_REQUESTS=0")
		if spec.Credential == nil {
			spec.Credential, err = credential(account)
		}
		return 1, err
	}
	return mostProcesses(b.cfg), b.fpmSpec(spec, php, account)
}

// phpAccount says as whom PHP runs if it is not configured: nil for our own
// user.
func (b *backend) phpAccount() (*user.User, error) {
	if b.cfg.As.User != "" {
		return lookup(b.cfg.As.User, user.Lookup, lookUID)
	}
	return phpAccount(b.root)
}

func (b *backend) fpmSpec(spec *process.Spec, php PHP, account *user.User) error {
	socket := filepath.Join(b.dir, "php.sock")
	file := filepath.Join(b.dir, "php-fpm.conf")
	if err := os.WriteFile(file, []byte(fpmConfig(socket, b.cfg, account)), 0o600); err != nil {
		return err
	}
	spec.Args = []string{php.Path, "--nodaemonize", "--fpm-config", file}
	spec.Listen, spec.Address = process.BySelf, "unix:"+socket
	spec.StopSignal = fpmStop
	spec.Credential = nil // its master starts its processes as somebody else
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
	if b.scaler != nil {
		b.scaler.close()
	}
	b.recycler.close()
	b.watcher.close()
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

// A groupSource tells a pool, a recycler and a client where the processes of a
// group are that are ready.
type groupSource struct {
	group    *process.Group
	recycler *recycler
	client   *fastcgi.Client
}

// Watch implements pool.Source.
func (s groupSource) Watch(ctx context.Context, set func([]pool.Endpoint)) error {
	var before []process.Member
	return s.group.Watch(ctx, func(members []process.Member) {
		for _, m := range before {
			if !slices.Contains(members, m) {
				s.client.Forget(m.Network, m.Address)
			}
		}
		before = members
		s.recycler.set(members)
		list := make([]pool.Endpoint, 0, len(members))
		for _, m := range members {
			list = append(list, pool.Endpoint{Network: m.Network, Address: m.Address})
		}
		set(list)
	})
}
