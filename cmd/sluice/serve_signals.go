package main

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice"
	"github.com/sluice-gateway/sluice/internal/sdnotify"
)

// A serving is a gateway that serves, and what signals ask of it.
//
// The orders SIGHUP, SIGUSR1 and SIGUSR2 may take as long as processes need to
// start, so they are carried out beside the loop, one after the other; an end
// does not wait for them.
type serving struct {
	server  *sluice.Server
	load    loader
	program string
	log     *slog.Logger

	stop   context.CancelFunc // begins the end
	ending bool
	told   bool        // to end, by a signal
	orders []os.Signal // that wait for the one that is being carried out
	busy   bool        // one is
	done   chan bool   // tells that it is over, and whether a successor serves now
}

// run serves until a signal, or a successor, ends it.
func (g *serving) run(ctx context.Context, signals <-chan os.Signal) error {
	ctx, g.stop = context.WithCancel(ctx)
	defer g.stop()
	g.done = make(chan bool, 1)
	ended := make(chan error, 1)
	go func() { ended <- g.server.Serve(ctx) }() // ends when stop is called; awaited below
	for {
		select {
		case err := <-ended:
			g.stop()
			g.giveUp()
			return fail(err)
		case sig := <-signals:
			g.take(sig)
		case succeeded := <-g.done:
			if g.busy = false; succeeded {
				g.end() // by itself: a signal is the first one still
			}
		}
		g.carryOn(ctx)
	}
}

// giveUp waits until the order that is being carried out has been given up. A
// file system that hangs may keep it.
func (g *serving) giveUp() {
	if !g.busy {
		return
	}
	select {
	case <-g.done:
	case <-time.After(2 * dismissTimeout):
		g.log.Warn("ending in the middle of a reload or of a succession")
	}
}

// take takes a signal. An order that waits already is not taken twice.
func (g *serving) take(sig os.Signal) {
	switch {
	case sig == syscall.SIGHUP, sig == syscall.SIGUSR1, sig == syscall.SIGUSR2:
		if !slices.Contains(g.orders, sig) {
			g.orders = append(g.orders, sig)
		}
	case g.told:
		g.log.Warn("ending at once", slog.String("signal", sig.String()))
		g.server.Close()
	default:
		g.told = true
		g.log.Info("draining", slog.String("signal", sig.String()), slog.String("hint", "once more ends at once"))
		if !g.ending {
			tellManager(g.log, sdnotify.Stopping())
		}
		g.end()
		g.server.Hurry()
	}
}

// end begins the end.
func (g *serving) end() {
	g.ending = true
	g.stop()
}

// carryOn begins to carry out the next order, if it is time.
func (g *serving) carryOn(ctx context.Context) {
	if g.busy || g.ending || len(g.orders) == 0 {
		return
	}
	sig := g.orders[0]
	g.orders = g.orders[1:]
	g.busy = true
	go func() { g.done <- g.carryOut(ctx, sig) }() // heeds ctx; giveUp waits for it
}

// carryOut carries out an order, and reports whether a successor serves now.
func (g *serving) carryOut(ctx context.Context, sig os.Signal) (succeeded bool) {
	if sig == syscall.SIGUSR1 {
		g.restart(ctx)
		return false
	}
	tellManager(g.log, sdnotify.Reloading())
	if sig == syscall.SIGUSR2 {
		succeeded = g.succeed(ctx)
	} else {
		g.reload(ctx)
	}
	if !succeeded && ctx.Err() == nil {
		tellManager(g.log, sdnotify.Ready("serving"))
	}
	return succeeded
}

// reload puts a new configuration in use, if it is good.
func (g *serving) reload(ctx context.Context) {
	cfg, problems, err := g.load()
	if err == nil && len(problems) == 0 {
		err = g.server.Reload(cfg)
	}
	for _, p := range problems {
		g.log.Error("configuration problem", slog.String("at", p.String()))
	}
	switch {
	case err == nil && len(problems) == 0:
		g.log.Info("configuration reloaded")
		return
	case ctx.Err() != nil:
		g.log.Info("reload given up")
		return
	case err != nil:
		g.log.Error("reload failed", slog.Any("err", err))
	}
	g.log.Error("the old configuration stays in use")
}

// restart replaces the processes.
func (g *serving) restart(ctx context.Context) {
	switch err := g.server.Restart(); {
	case err == nil:
		g.log.Info("processes replaced")
	case ctx.Err() != nil:
		g.log.Info("restart given up")
	default:
		g.log.Error("restart failed", slog.Any("err", err))
	}
}

// succeed hands everything over to a new process of the program, and reports
// whether that serves.
func (g *serving) succeed(ctx context.Context) bool {
	pid, err := startSuccessor(ctx, g.server, g.program)
	switch {
	case err == nil:
		g.server.HandOver()
		g.log.Info("handed over, draining", slog.Int("to", pid))
		tellManager(g.log, sdnotify.Main(pid))
		return true
	case ctx.Err() != nil:
		g.log.Info("successor given up")
	default:
		g.log.Error("successor failed, this process goes on", slog.String("program", g.program), slog.Any("err", err))
	}
	return false
}
