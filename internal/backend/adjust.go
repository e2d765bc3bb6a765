package backend

import (
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/scale"
)

// CanBe reports whether the backend can go on under a new configuration.
func (b *Backend) CanBe(cfg config.Backend, from Setting) bool {
	return b.startedWith(b.cfg).Equal(b.startedWith(cfg)) &&
		(cfg.PHP == "" || b.from.Root == from.Root) &&
		(len(cfg.Watch) == 0 || slices.Equal(b.from.Ours, from.Ours))
}

// startedWith returns the settings for which the backend cannot go on: what its
// processes are started with, or how long they serve. The others are how many
// there are, and how they are asked.
func (b *Backend) startedWith(cfg config.Backend) config.Backend {
	cfg.Params, cfg.Root = nil, ""
	cfg.Queue, cfg.Timeout, cfg.KeepIdle = config.Queue{}, config.BackendTimeout{}, 0
	if b.Foreign() || !b.recipe.FPM() { // php-fpm has read how many it is to start
		p := &cfg.Processes
		p.Min, p.Max, p.Scales, p.Spare, p.IdleTimeout = 0, 0, false, 0, 0
	}
	return cfg
}

// Adjust puts a configuration in force that the backend CanBe. What has been said
// of the requests under way stays true for them.
func (b *Backend) Adjust(cfg config.Backend) {
	was := b.cfg
	if was.Equal(cfg) {
		return
	}
	b.cfg = cfg
	b.client.Adjust(newClient(cfg, nil))
	b.pool.SetQueue(cfg.Queue.Max, cfg.Queue.Timeout)
	if was.Processes != cfg.Processes && !b.Foreign() {
		b.follow(b.recipe.Rule(cfg), b.group.Wanted())
	}
	if b.Foreign() {
		b.log.Info("backend changed")
	} else {
		b.log.Info("backend changed, its processes stay")
	}
}

// givenUpIdle is how long processes stay that hardly anybody needs any more.
const givenUpIdle = time.Second

// GiveUp ends the processes, except those that have requests, because another
// backend has taken the place of this one. Who uses it may do so for long, for a
// request to another backend, and a request that was on its way may come still:
// then a process is started for it. It is not adjusted any more.
func (b *Backend) GiveUp() {
	if b.Foreign() {
		return
	}
	b.given.Do(func() {
		b.watcher.close()
		rule := b.recipe.Rule(b.cfg)
		b.follow(scale.Rule{Max: rule.Max, Per: rule.Per, Idle: givenUpIdle}, b.Ready()) // none that is starting still, or dying
	})
}

// follow makes the number of processes follow a rule, from n on, if it allows so
// many or so few.
func (b *Backend) follow(rule scale.Rule, n int) {
	b.closeScaler()
	n = within(rule, n)
	b.group.Want(n)
	if rule.Fixed() {
		b.scaler.Store(nil)
		return
	}
	s := newScaler(rule, n)
	b.scaler.Store(s)
	s.start(b.pool, b.group)
}

// within returns n, or what is next to it of what a rule allows.
func within(rule scale.Rule, n int) int { return min(max(n, rule.Floor()), rule.Max) }

func (b *Backend) closeScaler() {
	if s := b.scaler.Load(); s != nil {
		s.close()
	}
}

// waiting is for pool.Config.
func (b *Backend) waiting() {
	if s := b.scaler.Load(); s != nil {
		s.waiting()
	}
}
