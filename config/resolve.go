package config

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/address"
)

// Resolve makes all relative paths absolute. They are relative to dir, the
// folder of the file; a command's is relative to the folder that it starts in,
// as exec(3) takes it. The error is that of os.Getwd, if dir is relative. To
// resolve twice changes nothing.
func (c *Config) Resolve(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("config: resolve %s: %w", c.file, err)
	}
	c.Root = under(dir, c.Root)
	if logsToFile(c.AccessLog) {
		c.AccessLog = under(dir, c.AccessLog)
	}
	c.Listen = addressesUnder(dir, c.Listen)
	c.Backends = slices.Clone(c.Backends)
	for i := range c.Backends {
		c.Backends[i].resolve(dir)
	}
	return nil
}

func (b *Backend) resolve(dir string) {
	b.Connect = addressesUnder(dir, b.Connect)
	if b.Root != "" {
		b.Root = path.Clean(b.Root)
	}
	if b.PHP != "auto" {
		b.PHP = under(dir, b.PHP)
	}
	b.Chroot = under(dir, b.Chroot)
	if b.PHP != "" || len(b.Command) > 0 {
		b.Dir = b.startDir(dir)
	}
	b.Watch = slices.Clone(b.Watch)
	for i, path := range b.Watch {
		b.Watch[i] = under(dir, path)
	}
	if len(b.Command) > 0 && strings.Contains(b.Command[0], "/") {
		b.Command = slices.Clone(b.Command)
		b.Command[0] = under(b.Dir, b.Command[0])
	}
}

// startDir returns the folder that the processes start in: as they see it, so
// within a chroot.
func (b *Backend) startDir(dir string) string {
	switch {
	case b.Chroot != "":
		return under("/", cmp.Or(b.Dir, "/"))
	case b.Dir == "":
		return dir
	}
	return under(dir, b.Dir)
}

// under returns a path as seen from dir; an empty one stays empty.
func under(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// addressesUnder returns addresses with the paths of their sockets resolved.
func addressesUnder(dir string, list []string) []string {
	list = slices.Clone(list)
	for i, s := range list {
		if path, ok := socketFile(s); ok && !filepath.IsAbs(path) {
			list[i] = "unix:" + under(dir, path)
		}
	}
	return list
}

// socketFile returns the path of an address's socket, if it has one.
func socketFile(s string) (path string, ok bool) {
	at, err := address.Parse(s)
	if err != nil || at.Network != "unix" || at.Address[0] == '@' {
		return "", false
	}
	return at.Address, true
}

// logsToFile reports whether an access log is a file.
func logsToFile(log string) bool { return log != "" && log != "-" && log != "off" }
