// Package config is the configuration as plain data, its TOML form, and every
// complaint about it with its place and what to do.
//
//	cfg, problems := config.Parse(file, src)
//	if len(problems) == 0 {
//		problems = config.Check(cfg, filepath.Dir(file))
//	}
//	…
//	err := cfg.Resolve(filepath.Dir(file)) // relative paths are relative to the file
//
// Parse looks at nothing but the text. Check looks at the files and programs
// that the text names; it starts nothing. doc/sluice.toml.md is the manual of
// the keys.
//
// In every field, zero means the default and a negative number no limit. The
// defaults belong to the packages that use them.
package config
