package sluice

import (
	"log/slog"
	"slices"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/scale"
)

// startedWith returns the settings of a backend for which a running one cannot go
// on: what its processes are started with, or how long they serve. The others are
// how many there are, and how they are asked.
func startedWith(cfg config.Backend, fpm bool) config.Backend {
	cfg.Params, cfg.Root = nil, ""
	cfg.Queue, cfg.Timeout, cfg.KeepIdle = config.Queue{}, config.BackendTimeout{}, 0
	if !fpm { // it has read how many it is to start
		p := &cfg.Processes
		p.Min, p.Max, p.Scales, p.Spare, p.IdleTimeout = 0, 0, false, 0, 0
	}
	return cfg
}

// canBe reports whether the backend can go on under a new configuration.
func (b *backend) canBe(cfg config.Backend, from setting) bool {
	return startedWith(b.cfg, b.fpm).Equal(startedWith(cfg, b.fpm)) &&
		(cfg.PHP == "" || b.from.root == from.root) &&
		(len(cfg.Watch) == 0 || slices.Equal(b.from.ours, from.ours))
}

// adjust puts a configuration in force that the backend canBe. What has been said
// of the requests under way stays true for them. The lock of the Server is held.
func (b *backend) adjust(cfg config.Backend, log *slog.Logger) {
	was := b.cfg
	if was.Equal(cfg) {
		return
	}
	b.cfg = cfg
	b.client.Adjust(newClient(cfg, nil))
	b.pool.SetQueue(cfg.Queue.Max, cfg.Queue.Timeout)
	if was.Processes != cfg.Processes {
		b.rule = ruleOf(cfg, b.maxLoad)
		b.follow(b.rule, b.slots())
	}
	log.Info("backend changed, its processes stay", slog.String("backend", cfg.Name))
}

// follow makes the number of processes follow another rule, from n on, if it
// allows so many or so few.
func (b *backend) follow(rule scale.Rule, n int) {
	if s := b.scaler.Load(); s != nil {
		s.close()
	}
	n = min(max(n, rule.Floor()), rule.Max)
	b.group.Want(n)
	if rule.Fixed() {
		b.scaler.Store(nil)
		return
	}
	s := newScaler(rule, n)
	b.scaler.Store(s)
	s.start(b.pool, b.group)
}
