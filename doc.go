// Package sluice builds a gateway from a configuration, runs it, reloads it and
// ends it. Its backends are internal/backend's.
//
//	cfg, problems := config.Parse("sluice.toml", src)
//	…
//	s, err := sluice.New(ctx, cfg, sluice.Options{Log: log})
//	…
//	err = s.Serve(ctx) // until ctx is done; drains then
package sluice
