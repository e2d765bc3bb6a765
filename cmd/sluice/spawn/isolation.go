package spawn

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/process"
)

// planIsolation says what the processes must do without.
func (f *flags) planIsolation(p *plan) error {
	if f.nice < -20 || f.nice > 19 {
		return fmt.Errorf("--nice %d: want -20, the highest priority, to 19, the lowest", f.nice)
	}
	p.nice, p.noNewPrivs = f.nice, f.noNewPrivs
	if f.umask != "" {
		mask, err := octal(f.umask)
		if err != nil {
			return fmt.Errorf("--umask %s: want an octal mask from 0 to 0777", f.umask)
		}
		p.umask = &mask
	}
	for _, text := range f.limits {
		l, err := parseLimit(text)
		if err != nil {
			return fmt.Errorf("--limit %s: %w", text, err)
		}
		p.limits = append(p.limits, l)
	}
	return nil
}

// octal reads permissions.
func octal(text string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(text, 8, 32)
	if err == nil && n > 0o777 {
		err = strconv.ErrRange
	}
	return fs.FileMode(n), err
}

// parseLimit reads NAME=SOFT[:HARD]. Without HARD both are the same, as with
// ulimit.
func parseLimit(text string) (l process.Limit, err error) {
	name, values, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return l, errors.New("want NAME=SOFT or NAME=SOFT:HARD")
	}
	soft, hard, both := strings.Cut(values, ":")
	if !both {
		hard = soft
	}
	l.Name = strings.ToLower(name)
	if l.Soft, err = parseAmount(soft); err != nil {
		return l, err
	}
	if l.Hard, err = parseAmount(hard); err != nil {
		return l, err
	}
	if l.Soft > l.Hard {
		return l, errors.New("the soft limit is above the hard one")
	}
	return l, nil
}

// parseAmount reads a number, one with a unit ("64MiB"), or "unlimited".
func parseAmount(text string) (uint64, error) {
	if text == "unlimited" || text == "infinity" {
		return process.Unlimited, nil
	}
	if n, err := strconv.ParseUint(text, 10, 63); err == nil {
		return n, nil
	}
	n, err := config.ParseSize(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no limit: want a number, a size like 64MiB, or unlimited", text)
	}
	return uint64(n), nil
}
