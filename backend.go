package sluice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/internal/address"
	"github.com/sluice-gateway/sluice/internal/scale"
	"github.com/sluice-gateway/sluice/internal/watch"
	"github.com/sluice-gateway/sluice/pool"
	"github.com/sluice-gateway/sluice/process"
)

// A backend is a running one: its pool, its connections and, if Sluice runs
// the application, its processes.
type backend struct {
	cfg     config.Backend // changed by adjust
	fpm     bool           // it is a php-fpm
	maxLoad int            // requests that one process takes at a time; 0: not known
	rule    scale.Rule     // changed by adjust
	pool    *pool.Pool
	client  *fastcgi.Client
	group   *process.Group // nil if somebody else runs the application
	dir     string         // of the sockets, removed at the end

	scaler   atomic.Pointer[scaler] // nil while there are always as many processes
	given    sync.Once              // up, see giveUp
	recycler recycler
	watcher  watcher
	from     setting
	users    atomic.Int32 // snapshots that use it
}

// A setting is what a backend needs to know of the others.
type setting struct {
	root  string   // the folder of the files
	ours  []string // files that Sluice writes
	ready int      // processes of the backend that it is to replace
}

// startBackend starts what a backend needs.
func startBackend(cfg config.Backend, from setting, log *slog.Logger) (*backend, error) {
	b := &backend{cfg: cfg, from: from, client: newClient(cfg, log.With(slog.String("backend", cfg.Name)))}
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
		b.maxLoad = maxLoad
		source = groupSource{b}
	}
	c := pool.Config{Name: cfg.Name, MaxLoad: maxLoad, MaxQueue: cfg.Queue.Max, QueueTimeout: cfg.Queue.Timeout, Log: log}
	if b.group != nil {
		c.Waiting = b.waiting
	}
	b.pool = pool.New(c)
	if b.recycler.needed() {
		b.recycler.start(b.pool, b.group)
	}
	b.pool.Watch(source)
	if s := b.scaler.Load(); s != nil {
		s.start(b.pool, b.group)
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
	r, err := recipeOf(b.cfg, b.from.root, b.dir)
	if err != nil {
		return 0, err
	}
	b.fpm = r.php.FPM
	if b.cfg.PHP != "" {
		r.logPHP(b.cfg, b.from.root, log)
	}
	if err = r.writeFile(); err != nil {
		return 0, err
	}
	spec := r.spec
	spec.Log, spec.Idle, spec.Load, spec.Ping = log, b.idle, b.load, b.ping
	b.rule, b.recycler = r.rule(b.cfg), r.recycler(b.cfg)
	begin := max(b.rule.Floor(), min(b.from.ready, b.rule.Max)) // as warm as the old one
	if !b.rule.Fixed() {
		b.scaler.Store(newScaler(b.rule, begin))
	}
	if err = b.watcher.look(watch.Files{Paths: b.cfg.Watch, Except: b.from.ours, Log: log.With(slog.String("backend", b.cfg.Name))}); err != nil {
		return 0, fmt.Errorf("watch: %w", err)
	}
	if b.group, err = process.NewGroup(spec, begin, b.dir); err != nil {
		return 0, err
	}
	if err := b.group.Start(); err != nil {
		return 0, errors.Join(err, b.group.Stop(context.Background()))
	}
	return r.perWorker, nil
}

// runtimeDir is where folders of sockets are made: short, ours, and gone after
// a restart of the machine. A root shell made by su may have the XDG_RUNTIME_DIR
// of another, and the /tmp of a container may be open to anybody.
func runtimeDir() string {
	const memory = "/dev/shm"
	tmp := os.TempDir()
	switch dir := os.Getenv("XDG_RUNTIME_DIR"); {
	case dir != "" && process.CanHold(dir):
		return dir
	case !process.CanHold(tmp) && isFolder(tmp) && process.CanHold(memory):
		return memory
	}
	return tmp // what is wrong with it will be said
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// retry starts processes that wait for the end of a pause.
func (b *backend) retry() {
	if b.group != nil {
		b.group.Retry()
	}
}

// waiting is for pool.Config.Waiting.
func (b *backend) waiting() {
	if s := b.scaler.Load(); s != nil {
		s.waiting()
	}
}

// givenUpIdle is how long processes stay that hardly anybody needs any more.
const givenUpIdle = time.Second

// giveUp ends the processes, except those that have requests, because another
// backend has taken the place of this one. The snapshot may stay for long, for a
// request to another backend, and a request that was on its way may come still:
// then a process is started for it.
func (b *backend) giveUp() {
	if b.group == nil {
		return
	}
	b.given.Do(func() {
		b.watcher.close()
		b.follow(scale.Rule{Max: b.rule.Max, Per: b.maxLoad, Idle: givenUpIdle}, b.ready()) // none that is starting still, or dying
	})
}

// release gives up a snapshot's use; the last one ends the backend.
func (b *backend) release(ctx context.Context) error {
	if b.users.Add(-1) > 0 {
		return nil
	}
	if s := b.scaler.Load(); s != nil {
		s.close()
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

// A groupSource tells the pool of a backend, its recycler and its client where
// the processes are that are ready, and what to expect when none is.
type groupSource struct{ *backend }

// Watch implements pool.Source.
func (s groupSource) Watch(ctx context.Context, set func([]pool.Endpoint)) error {
	var before []process.Member
	return s.group.Watch(ctx, func(members []process.Member, next process.Outlook) {
		for _, m := range before {
			if !slices.Contains(members, m) {
				s.client.Forget(m.Network, m.Address)
			}
		}
		before = members
		s.recycler.set(members)
		list := make([]pool.Endpoint, 0, len(members))
		for _, m := range members {
			list = append(list, whereIs(m))
		}
		set(list)
		s.pool.Expect(outlook(next))
	})
}
