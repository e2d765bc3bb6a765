package sluice

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/gateway"
	"github.com/sluice-gateway/sluice/handler"
	"github.com/sluice-gateway/sluice/internal/backend"
	"github.com/sluice-gateway/sluice/static"
)

// prepare makes the snapshot of a configuration while somebody else, who is old
// or a predecessor, takes the requests: the processes that it starts take
// requests when it returns. ctx bounds the wait for them.
func (s *Server) prepare(ctx context.Context, cfg *config.Config, old *snapshot, anew bool) (*snapshot, error) {
	snap, fresh, err := s.build(cfg, old, anew)
	if err != nil {
		return nil, err
	}
	for _, b := range fresh {
		if err := b.WaitReady(ctx); err != nil {
			snap.end(s.life)
			return nil, fmt.Errorf("sluice: %w", err)
		}
	}
	return snap, nil
}

// build makes the snapshot of a configuration. Backends of old that can go on
// are used again, unless all are to be made anew; fresh are the others. What is to
// change in those of old is left to reload. If it fails, nothing is left behind.
func (s *Server) build(cfg *config.Config, old *snapshot, anew bool) (_ *snapshot, fresh []*backend.Backend, err error) {
	snap := &snapshot{
		cfg:      cfg,
		listen:   listenersOf(cfg),
		backends: make(map[string]*backend.Backend),
		idle:     make(chan struct{}),
	}
	snap.holds.Store(1)
	defer func() {
		if err != nil {
			snap.end(s.life)
		}
	}()
	root := ""
	if cfg.Root != "" {
		if snap.files, err = static.Open(cfg.Root); err != nil {
			return nil, nil, err
		}
		root = snap.files.Dir()
	}
	if fresh, err = s.startBackends(snap, old, root, anew); err != nil {
		return nil, nil, err
	}
	if snap.gateway, err = newGateway(snap, s.spool, s.o.Log); err != nil {
		return nil, nil, err
	}
	if snap.access, snap.accessFile, err = s.openAccessLog(cfg); err != nil {
		return nil, nil, err
	}
	snap.handler = handler.AccessLog(snap.gateway, snap.access)
	return snap, fresh, nil
}

// startBackends takes over the backends of old that can go on, and starts the
// others, which it returns.
func (s *Server) startBackends(snap, old *snapshot, root string, anew bool) (fresh []*backend.Backend, err error) {
	for _, cfg := range snap.cfg.Backends {
		from := backend.Setting{Root: root, Ours: []string{snap.cfg.AccessLog}}
		switch b := old.backend(cfg.Name); {
		case old == nil:
			from.Ready = s.o.Ready[cfg.Name]
		case b == nil:
		case b.CanBe(cfg, from) && (!anew || b.Foreign()):
			b.Use()
			snap.backends[cfg.Name] = b
			continue
		default:
			from.Ready = b.Ready()
		}
		b, err := backend.Start(cfg, from, s.o.Log)
		if err != nil {
			return nil, fmt.Errorf("sluice: %w", err)
		}
		snap.backends[cfg.Name] = b
		fresh = append(fresh, b)
	}
	return fresh, nil
}

// newGateway makes the handler of a snapshot.
func newGateway(snap *snapshot, spool *gateway.Spool, log *slog.Logger) (*gateway.Handler, error) {
	cfg := snap.cfg
	backends := make(map[string]*gateway.Backend)
	for _, of := range cfg.Backends {
		backends[of.Name] = snap.backends[of.Name].ForGateway(of)
	}
	h := &gateway.Handler{
		Files: snap.files, Index: cfg.Index, MaxBody: cfg.MaxBody, BodyTimeout: cfg.Timeout.Body, Spool: spool, Log: log,
	}
	if len(h.Index) == 0 {
		h.Index = defaultIndex
	}
	for _, r := range cfg.Routes {
		match, err := gateway.Compile(r.Path)
		if err != nil {
			return nil, err
		}
		rt := gateway.Route{
			Match: match, Backend: backends[r.Backend], Deny: r.Deny, Files: r.Files,
			CheckLocal: r.ChecksLocal(), Fallback: r.Fallback, MaxBody: r.MaxBody,
		}
		if rt.Backend == nil && !r.Deny && !r.Files {
			return nil, fmt.Errorf("sluice: route %q: there is no backend %q", r.Path, r.Backend)
		}
		h.Routes = append(h.Routes, rt)
	}
	return h, nil
}
