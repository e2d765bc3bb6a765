package backend

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/sluice-gateway/sluice/internal/recipe"
	"github.com/sluice-gateway/sluice/internal/watch"
	"github.com/sluice-gateway/sluice/pool"
	"github.com/sluice-gateway/sluice/process"
)

// prepare does what comes before the first process.
func (b *Backend) prepare() (err error) {
	if b.dir, err = os.MkdirTemp(runtimeDir(), "sluice-"); err != nil {
		return fmt.Errorf("make a folder for its sockets: %w", err)
	}
	if b.recipe, err = recipe.Of(b.cfg, b.from.Root, b.dir); err != nil {
		return err
	}
	b.client.Cautious = b.recipe.FPM() // nobody uses it yet
	b.recipe.Announce(b.log)
	if err = b.recipe.WriteFile(); err != nil {
		return err
	}
	b.recycler.maxRequests, b.recycler.hung = b.recipe.MaxRequests, b.recipe.HungTimeout
	if err = b.watcher.look(watch.Files{Paths: b.cfg.Watch, Except: b.from.Ours, Log: b.log}); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	return nil
}

// spec is the recipe's, with whom the group is to ask and to tell. It says itself
// in its log which backend it is.
func (b *Backend) spec(log *slog.Logger) process.Spec {
	s := b.recipe.Spec
	s.Log, s.Idle, s.Load, s.Ping = log, b.idle, b.load, b.ping
	return s
}

// idle waits until no request is with a process that has left the list.
func (b *Backend) idle(ctx context.Context, m process.Member) {
	b.pool.Idle(ctx, m.Network, m.Address) // an error tells that nobody waits any more
}

// load returns how many requests are with a process.
func (b *Backend) load(m process.Member) int { return b.pool.LoadAt(m.Network, m.Address) }

// WaitReady waits until as many processes as there are to be take requests. If
// one ends before it did, the error says why.
func (b *Backend) WaitReady(ctx context.Context) error {
	if b.Foreign() {
		return nil
	}
	if err := b.group.Ready(ctx); err != nil {
		return fmt.Errorf("backend %q: %w", b.cfg.Name, err)
	}
	return nil
}

// Ready returns how many processes take requests.
func (b *Backend) Ready() (n int) {
	if b.Foreign() {
		return 0
	}
	for _, s := range b.group.Status() {
		if s.State == process.Ready && !s.Dead {
			n++
		}
	}
	return n
}

// newsOfAnEnd is how long it is waited for the end of a process that has lost a
// connection.
const newsOfAnEnd = 300 * time.Millisecond

// killed is for gateway.Backend.
func (b *Backend) killed(ctx context.Context, worker pool.Endpoint, since time.Time) bool {
	ctx, cancel := context.WithTimeout(ctx, newsOfAnEnd)
	defer cancel()
	return b.group.Killed(ctx, worker.Network, worker.Address, since)
}
