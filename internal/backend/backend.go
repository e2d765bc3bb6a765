// Package backend runs backends: the pool of each, the connections to its
// workers and, if Sluice runs the application, its processes; and it connects
// these, none of which knows the others.
package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/internal/address"
	"github.com/sluice-gateway/sluice/internal/recipe"
	"github.com/sluice-gateway/sluice/pool"
	"github.com/sluice-gateway/sluice/process"
)

// A Backend is a running one. It takes requests, through ForGateway, until its
// last user has released it. Its methods may be called by several goroutines,
// but CanBe, Adjust and GiveUp by one at a time.
type Backend struct {
	cfg    config.Backend // changed by Adjust
	from   Setting
	log    *slog.Logger // that says which backend it is
	client *fastcgi.Client
	pool   *pool.Pool
	users  atomic.Int32

	// If Sluice runs the application.
	recipe   *recipe.Recipe
	dir      string // of the sockets, removed at the end
	group    *process.Group
	scaler   atomic.Pointer[scaler] // nil while there are always as many processes
	recycler recycler
	watcher  watcher
	given    sync.Once // up, see GiveUp
}

// A Setting is what a backend needs to know of what is around it.
type Setting struct {
	Root  string   // the folder of the files
	Ours  []string // files that Sluice writes
	Ready int      // processes of the backend that it is to replace
}

// Start starts what a backend needs. It has one user, who is to release it; if
// Start fails nothing is left behind.
func Start(cfg config.Backend, from Setting, log *slog.Logger) (*Backend, error) {
	b := &Backend{cfg: cfg, from: from, log: log.With(slog.String("backend", cfg.Name))}
	b.users.Store(1)
	b.client = newClient(cfg, b.log)
	if len(cfg.Connect) > 0 {
		b.pool = b.newPool(cfg.MaxLoad, log)
		b.pool.Watch(endpoints(cfg.Connect))
		return b, nil
	}
	if err := b.startApplication(log); err != nil {
		b.removeDir()
		return nil, fmt.Errorf("backend %q: %w", cfg.Name, err)
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

// newPool makes a pool whose workers take so many requests, 0 if that is not
// known. It says itself in its log which backend it is.
func (b *Backend) newPool(maxLoad int, log *slog.Logger) *pool.Pool {
	q := b.cfg.Queue
	return pool.New(pool.Config{Name: b.cfg.Name, MaxLoad: maxLoad, MaxQueue: q.Max, QueueTimeout: q.Timeout, Waiting: b.waiting, Log: log})
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

// startApplication starts the processes, and those who look after them.
func (b *Backend) startApplication(log *slog.Logger) (err error) {
	if err = b.prepare(); err != nil {
		return err
	}
	b.pool = b.newPool(b.recipe.MaxLoad, log)
	rule := b.recipe.Rule(b.cfg)
	begin := within(rule, b.from.Ready) // as warm as the old one
	if b.group, err = process.NewGroup(b.spec(log), begin, b.dir); err != nil {
		return err
	}
	if err = b.group.Start(); err != nil {
		return errors.Join(err, b.group.Stop(context.Background()))
	}
	b.recycler.start(b.pool, b.group)
	b.pool.Watch(groupSource{b})
	b.follow(rule, begin)
	b.watcher.start(b.group, b.log)
	return nil
}

// Foreign reports whether somebody else runs the application.
func (b *Backend) Foreign() bool { return b.group == nil }

// Use adds a user. Processes that wait for the end of a pause are started: who
// begins to use it may have mended what was wrong.
func (b *Backend) Use() {
	b.users.Add(1)
	if !b.Foreign() {
		b.group.Retry()
	}
}

// Release takes a user away; the last one ends the backend. When ctx is done
// processes are killed.
func (b *Backend) Release(ctx context.Context) error {
	if b.users.Add(-1) > 0 {
		return nil
	}
	b.closeScaler()
	b.recycler.close()
	b.watcher.close()
	b.pool.Close()
	b.client.Close()
	if b.Foreign() {
		return nil
	}
	err := b.group.Stop(ctx)
	b.removeDir()
	return err
}

func (b *Backend) removeDir() {
	if b.dir != "" {
		os.RemoveAll(b.dir)
	}
}
