package main

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice"
	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
	"github.com/sluice-gateway/sluice/cmd/sluice/service"
	"github.com/sluice-gateway/sluice/internal/sdnotify"
)

// A serving is a gateway that serves, and what signals ask of it.
//
// The orders SIGHUP, SIGUSR1 and SIGUSR2 may take as long as processes need to
// start, so they are carried out beside the loop, one after the other; an end
// does not wait for them. Only the loop talks to the service manager.
type serving struct {
	server  *sluice.Server
	load    loader
	program string
	log     *slog.Logger

	stop      context.CancelFunc // begins the end
	ending    bool
	told      bool        // to end, by a signal
	orders    []os.Signal // that wait for the one that is being carried out
	busy      os.Signal   // that one; nil if there is none
	done      chan int    // tells that it is over, and the PID of a successor that serves now, or 0
	successor int         // that PID
}

// run serves until a signal, or a successor, ends it.
func (g *serving) run(ctx context.Context, signals <-chan os.Signal) error {
	ctx, g.stop = context.WithCancel(ctx)
	defer g.stop()
	g.done = make(chan int, 1)
	ended := make(chan error, 1)
	go func() { ended <- g.server.Serve(ctx) }() // ends when stop is called; awaited below
	for {
		select {
		case err := <-ended:
			g.stop()
			g.leave()
			return outcome.Fail(err)
		case sig := <-signals:
			g.take(sig)
		case pid := <-g.done:
			g.carriedOut(pid)
		}
		g.carryOn(ctx)
	}
}

// leave waits until the order that is being carried out has been given up. A
// file system that hangs may keep it.
func (g *serving) leave() {
	if g.busy == nil {
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
			service.Told(g.log, sdnotify.Stopping())
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

// carryOn begins to carry out the next order, if it is time. Orders that come too
// late are the successor's.
func (g *serving) carryOn(ctx context.Context) {
	for g.busy == nil && len(g.orders) > 0 {
		sig := g.orders[0]
		g.orders = g.orders[1:]
		switch {
		case g.successor != 0:
			err := syscall.Kill(g.successor, sig.(syscall.Signal))
			g.log.Info("signal passed on", slog.String("signal", sig.String()), slog.Int("to", g.successor), slog.Any("err", err))
			continue
		case g.ending:
			continue
		case sig != syscall.SIGUSR1:
			service.Told(g.log, sdnotify.Reloading())
		}
		g.busy = sig
		go func() { g.done <- g.carryOut(ctx, sig) }() // heeds ctx; leave waits for it
	}
}

// carriedOut takes note that an order has been carried out.
func (g *serving) carriedOut(successor int) {
	order := g.busy
	g.busy = nil
	switch {
	case successor != 0:
		g.successor = successor
		service.Told(g.log, sdnotify.Main(successor))
		g.end() // by itself: a signal is the first one still
	case order != syscall.SIGUSR1 && !g.ending:
		service.Told(g.log, sdnotify.Ready("serving"))
	}
}

// carryOut carries out an order, and returns the PID of a successor that serves
// now.
func (g *serving) carryOut(ctx context.Context, sig os.Signal) (successor int) {
	switch sig {
	case syscall.SIGUSR1:
		g.restart(ctx)
	case syscall.SIGUSR2:
		return g.succeed(ctx)
	default:
		g.reload(ctx)
	}
	return 0
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

// succeed hands everything over to a new process of the program, and returns its
// PID if that serves.
func (g *serving) succeed(ctx context.Context) (successor int) {
	pid, err := startSuccessor(ctx, g.server, g.program)
	switch {
	case err == nil:
		g.server.HandOver()
		g.log.Info("handed over, draining", slog.Int("to", pid))
		return pid
	case ctx.Err() != nil:
		g.log.Info("successor given up")
	default:
		g.log.Error("successor failed, this process goes on", slog.String("program", g.program), slog.Any("err", err))
	}
	return 0
}
