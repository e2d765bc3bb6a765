// Package sluice builds a gateway from a configuration, runs it, reloads it and
// ends it. It is the only package that knows all the others.
//
//	cfg, problems := config.Parse("sluice.toml", src)
//	…
//	s, err := sluice.New(ctx, cfg, sluice.Options{Log: log})
//	…
//	err = s.Serve(ctx) // until ctx is done; drains then
package sluice
