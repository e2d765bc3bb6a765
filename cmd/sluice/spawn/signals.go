package spawn

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// heeded are the signals that a supervisor answers to.
var heeded = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2}

// A signalRule says what the signals to the supervisor mean.
type signalRule struct {
	multiwatch  syscall.Signal // not 0: they mean what they mean to multiwatch, with this one as the nice end
	stop        syscall.Signal
	stopTimeout time.Duration // negative: no limit
	niceTimeout time.Duration // the same, of an end that was asked for nicely
}

// An order is what a supervisor has to do.
type order struct {
	do      orderKind
	signal  syscall.Signal // for the processes; of replace none
	timeout time.Duration  // of end
}

type orderKind uint8

const (
	pass    orderKind = iota // send the signal to the processes
	end                      // the same, and start no others
	replace                  // put new processes in the place of the old ones
)

// order decides about one signal. ending means that an order to end has been
// given already.
func (r signalRule) order(sig syscall.Signal, ending bool) order {
	switch {
	case sig == syscall.SIGUSR2, ending:
		return order{do: pass, signal: sig}
	case r.multiwatch != 0:
		return order{do: end, signal: r.multiwatch, timeout: r.niceTimeout}
	case sig == syscall.SIGHUP:
		return order{do: replace}
	case sig == syscall.SIGUSR1:
		return order{do: end, signal: sig, timeout: r.niceTimeout}
	}
	return order{do: end, signal: r.stop, timeout: r.stopTimeout}
}

// planSignals says what the signals mean. A nice end has no limit, unless one
// is given: what the processes are busy with may take long, and a second signal
// is always there.
func (f *flags) planSignals(p *plan) (err error) {
	p.rule = signalRule{stopTimeout: f.stopTimeout, niceTimeout: -1}
	if f.given("stop-timeout") {
		p.rule.niceTimeout = f.stopTimeout
	}
	if p.rule.stop, err = parseSignal(f.stopSignal); err != nil {
		return fmt.Errorf("--stop-signal: %w", err)
	}
	if f.signal != "" {
		if p.rule.multiwatch, err = parseSignal(f.signal); err != nil {
			return fmt.Errorf("--signal: %w", err)
		}
	}
	return nil
}

// parseSignal reads the name of a signal, with or without SIG.
func parseSignal(name string) (syscall.Signal, error) {
	if sig := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG")); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("there is no signal %q: want a name like TERM", name)
}
