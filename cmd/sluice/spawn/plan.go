package spawn

import (
	"io/fs"
	"time"

	"github.com/sluice-gateway/sluice/process"
)

const (
	// defaultStart is how long a process may take to accept a connection. Large
	// Perl and Python programs load for seconds; and one that starts while all
	// are busy may have to serve others first, so it is not killed then.
	defaultStart = 10 * time.Second

	// defaultStop is from the signal that asks a process to end to SIGKILL.
	defaultStop = 10 * time.Second

	// defaultHealthy is multiwatch's: who lives longer has not died in a row.
	defaultHealthy = 10 * time.Second

	// maxForks bounds the number of processes: more is a slip of the finger.
	maxForks = 10000
)

// A plan is what a command line asks for, checked and with whole paths.
type plan struct {
	compat, background bool

	args        []string
	dir, chroot string
	env         []string
	credential  *process.Credential // nil: as ourselves
	home        string              // of that user, if it is known
	umask       *fs.FileMode
	nice        int
	limits      []process.Limit
	noNewPrivs  bool

	address            string // of the socket, in the terms of internal/address
	mode               fs.FileMode
	socketUID, sockGID int // -1: whom the processes run as
	backlog            int // 0: as it is, of a socket that was handed over

	min, max           int
	ping               bool
	startAtMost        time.Duration
	retry              int // negative: for ever
	healthy            time.Duration
	maxAge             time.Duration
	maxMemory          int64
	watch              []string
	rule               signalRule
	pidFile            string
	logFormat, logFile string
}

// plan makes a plan of the flags. Errors that are no failures are about the
// command line.
func (f *flags) plan(args []string) (*plan, error) {
	p := &plan{
		compat: f.compat, background: !f.foreground && !isInit(),
		ping: !f.noPing, startAtMost: f.startAtMost, retry: f.retry, healthy: f.timeout, maxAge: f.maxAge,
	}
	steps := []func(*plan) error{
		func(p *plan) error { return f.planCommand(p, args) },
		f.noMaxRequests, f.planSocket, f.planNumbers, f.planIsolation, f.planLog, f.planSignals, f.planIdentity, f.planEnv,
		f.planPaths, f.checkSocket, (*plan).checkProgram,
	}
	for _, step := range steps {
		if err := step(p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// name returns the one that messages begin with.
func (p *plan) name() string {
	if p.compat {
		return spawnFCGI
	}
	return "sluice"
}
