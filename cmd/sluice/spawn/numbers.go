package spawn

import (
	"errors"
	"fmt"

	"github.com/sluice-gateway/sluice/config"
)

// noMaxRequests says why there is no such flag.
func (f *flags) noMaxRequests(*plan) error {
	if !f.given("max-requests") {
		return nil
	}
	return errors.New("--max-requests: a supervisor does not see requests: for PHP set PHP_FCGI_MAX_REQUESTS; " +
		"\"sluice serve\" counts them for every application (processes.max_requests); --max-age and --max-memory work here")
}

// planNumbers says how many processes there are, and how large they may get.
func (f *flags) planNumbers(p *plan) (err error) {
	p.min, p.max = f.forks, f.forks
	if f.given("min") {
		if p.min, p.max = f.min, f.min; f.given("forks") {
			return errors.New("--min and --forks are the same: give one of them")
		}
	}
	if f.given("max") {
		p.max = f.max
	}
	switch {
	case p.min < 1:
		return fmt.Errorf("%d processes: want 1 or more: without any, nobody would take the first connection", p.min)
	case p.max < p.min:
		return fmt.Errorf("--max %d is less than the %d of --min", p.max, p.min)
	case p.max > maxForks:
		return fmt.Errorf("%d processes: want at most %d", p.max, maxForks)
	case p.max > p.min && !p.ping:
		return errors.New("--max needs the connections that --no-ping leaves out: they show how long others wait")
	case f.backlog < 0:
		return fmt.Errorf("-b %d: want 0 or more", f.backlog)
	case f.phpChildren < 0:
		return fmt.Errorf("-C %d: want 0 or more", f.phpChildren)
	case f.maxAge < 0:
		return fmt.Errorf("--max-age %v: want a time", f.maxAge)
	case f.startAtMost <= 0:
		return fmt.Errorf("--start-timeout %v: want a time", f.startAtMost)
	}
	if f.maxMemory != "" {
		if p.maxMemory, err = config.ParseSize(f.maxMemory); err != nil {
			return fmt.Errorf("--max-memory: %w", err)
		}
	}
	return nil
}
