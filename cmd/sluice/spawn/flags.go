package spawn

import (
	"time"

	"github.com/spf13/cobra"
)

// flags are the flags of "sluice spawn". Those with a letter are
// spawn-fcgi's, but for -h.
type flags struct {
	compat bool // called as spawn-fcgi: its exit statuses, and its name in messages

	command, dir, address, port, socket, mode string
	pidFile, chroot, user, group              string
	socketUser, socketGroup                   string
	phpChildren, forks, backlog               int
	foreground, outside, usage                bool

	min, max                          int
	umask                             string
	nice                              int
	limits, env, copyEnv, watch       []string
	noNewPrivs, noPing                bool
	signal, stopSignal                string
	retry                             int
	timeout, stopTimeout, startAtMost time.Duration
	maxAge                            time.Duration
	maxMemory, maxRequests            string
	log, logFile                      string

	given func(name string) bool // whether a flag was on the command line
}

// define defines the flags, spawn-fcgi's first and in the order of its help.
func (f *flags) define(cmd *cobra.Command) {
	fs := cmd.Flags()
	f.given = fs.Changed
	fs.SortFlags = false
	fs.StringVarP(&f.command, "command", "f", "", "let /bin/sh run `PATH`, which may have arguments; not used if there is a COMMAND")
	fs.StringVarP(&f.dir, "dir", "d", "", "start in `FOLDER`, of the chroot if there is one")
	fs.StringVarP(&f.address, "address", "a", "", "listen on this `IP` address (default 0.0.0.0)")
	fs.StringVarP(&f.port, "port", "p", "", "listen on this TCP `PORT`")
	fs.StringVarP(&f.socket, "socket", "s", "", "listen on the unix socket at `PATH`, or on the abstract one @NAME")
	fs.StringVarP(&f.mode, "mode", "M", "", "give the unix socket this `MODE`, octal (default 0660, less the umask)")
	fs.IntVarP(&f.phpChildren, "php-children", "C", 0, "set PHP_FCGI_CHILDREN to `N`")
	fs.IntVarP(&f.forks, "forks", "F", 1, "start `N` processes on the one socket")
	fs.IntVarP(&f.backlog, "backlog", "b", 1024, "let up to `N` connections wait to be accepted")
	fs.StringVarP(&f.pidFile, "pid-file", "P", "", "write the PID of the supervisor to `PATH`; not used with -n")
	fs.BoolVarP(&f.foreground, "foreground", "n", false, "stay in the foreground")
	fs.BoolVarP(&f.usage, "usage", "?", false, "the same as --help")
	fs.StringVarP(&f.chroot, "chroot", "c", "", "make `FOLDER` the root of the processes (root only)")
	fs.BoolVarP(&f.outside, "socket-outside", "S", false, "the path of -s is outside of the chroot (root only)")
	fs.StringVarP(&f.user, "user", "u", "", "run the processes as this `USER`, a name or number (root only)")
	fs.StringVarP(&f.group, "group", "g", "", "run them in this `GROUP` (default the user's) (root only)")
	fs.StringVarP(&f.socketUser, "socket-user", "U", "", "the unix socket belongs to this `USER` (default that of -u) (root only)")
	fs.StringVarP(&f.socketGroup, "socket-group", "G", "", "the unix socket belongs to this `GROUP` (default that of -U, or -g) (root only)")

	fs.IntVar(&f.min, "min", 0, "the same as --forks: never have fewer than `N` processes")
	fs.IntVar(&f.max, "max", 0, "have up to `N` processes while connections wait (default as many as --min)")
	fs.StringVar(&f.umask, "umask", "", "take these permissions from new files, octal: a `MASK` like 027")
	fs.IntVar(&f.nice, "nice", 0, "run the processes with this priority, `N` from -20 to 19")
	fs.StringArrayVar(&f.limits, "limit", nil, "set a resource limit, `NAME=SOFT[:HARD]`, as in ulimit: nofile=1024; may be repeated")
	fs.BoolVar(&f.noNewPrivs, "no-new-privs", false, "no program that they start gets more rights than they have")
	fs.StringArrayVar(&f.env, "env", nil, "set a variable of their environment, `NAME=VALUE`; may be repeated")
	fs.StringArrayVar(&f.copyEnv, "copy-env", nil, "let them see our variable `NAME`; may be repeated")
	fs.StringArrayVar(&f.watch, "watch", nil, "replace the processes when a file at or below `PATH` changes; may be repeated")
	fs.DurationVar(&f.startAtMost, "start-timeout", defaultStart, "take a process that does not accept a connection for up after this `TIME`")
	fs.BoolVar(&f.noPing, "no-ping", false, "do not connect to find out: every process that has run for a second is up")
	fs.StringVar(&f.stopSignal, "stop-signal", "TERM", "the signal that asks a process to end: a `NAME` like TERM or QUIT")
	fs.DurationVar(&f.stopTimeout, "stop-timeout", defaultStop, "kill processes that have not ended after this `TIME`; negative: never")
	fs.StringVar(&f.signal, "signal", "", "signals mean what they mean to multiwatch, and the first sends signal `NAME` to the processes")
	fs.IntVar(&f.retry, "retry", -1, "give up when each process has died at once and `N` more times in a row; negative: never")
	fs.DurationVar(&f.timeout, "timeout", defaultHealthy, "a death later than this `TIME` after a start begins a new row")
	fs.DurationVar(&f.maxAge, "max-age", 0, "replace processes that are older than this `TIME`")
	fs.StringVar(&f.maxMemory, "max-memory", "", "replace processes with more resident memory than this `SIZE`, 200MiB for example")
	fs.StringVar(&f.log, "log", "text", "`FORMAT` of the log: text or json")
	fs.StringVar(&f.logFile, "log-file", "", "append the log, and what the processes write, to `PATH`")

	fs.StringVar(&f.maxRequests, "max-requests", "", "")
	fs.MarkHidden("max-requests") // it is there to say why it is not
}
