package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// spawnFCGI is the name of the program that sluice stands in for when it is
// called so.
const spawnFCGI = "spawn-fcgi"

// spawnFlags are the flags of "sluice spawn". Those with a letter are
// spawn-fcgi's, but for -h.
type spawnFlags struct {
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

func newSpawn(name string) *cobra.Command {
	f := spawnFlags{compat: name == spawnFCGI}
	cmd := &cobra.Command{
		Use:   name + " [flags] [-- COMMAND [ARG...]]",
		Short: "Start a FastCGI application on a socket, and keep it running",
		Long: `Spawn starts COMMAND, with a listening socket as descriptor 0, and keeps it
running. It takes the flags of spawn-fcgi, and is a drop-in for it under that
name; unlike spawn-fcgi it stays, as a supervisor, and starts again what dies.

Without -n it returns when the application accepts connections, and the supervisor works on
in the background; the PID that is printed, and that is in the PID file, is the
supervisor's: SIGTERM to it ends everything. With -n it stays in the foreground,
and so it does as process 1 of a container.

The environment of COMMAND is empty but for PATH, LANG, TZ and HOME, what --env
and --copy-env say, what ALLOWED_ENV names, and PHP_FCGI_CHILDREN,
PHP_FCGI_MAX_REQUESTS and FCGI_WEB_SERVER_ADDRS as we have them. USERID and
GROUPID stand in for -u and -g if we are root.

Signals: SIGTERM, SIGINT and SIGQUIT end it; SIGUSR1 does too, but waits as long
as the processes need; a second one of them is passed on. SIGHUP replaces the
processes, and the old ones stay if the new ones die. SIGUSR2 is passed on. With
--signal they mean what they mean to multiwatch.

Exit status: 0 the application is up, or was ended by a signal; 1 it is not up,
or was given up; 2 wrong usage. Under the name spawn-fcgi: 0, the exit status of
the application, 1 if a signal killed it, 255 everything else.`,
		Example: `  sluice spawn -s /run/php.sock -u www-data -P /run/php.pid -- /usr/bin/php-cgi
  sluice spawn -n -a 127.0.0.1 -p 9000 -F 4 -- ./app
  sluice spawn -n -s ./app.sock --watch . -- perl app.pl`,
		DisableFlagsInUseLine: true, // after -- they are the command's
		Version:               version(),
		RunE:                  f.run,
	}
	// Scripts that look at the version find the one that we can stand in for.
	cmd.SetVersionTemplate(spawnFCGI + " v1.6.4 (sluice {{.Version}}) - spawns FastCGI processes\n")
	f.define(cmd)
	return cmd
}

// define defines the flags, spawn-fcgi's first and in the order of its help.
func (f *spawnFlags) define(cmd *cobra.Command) {
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

func (f *spawnFlags) run(cmd *cobra.Command, args []string) error {
	if f.usage {
		return cmd.Help()
	}
	plan, err := f.plan(args)
	if err != nil {
		return err
	}
	report, err := takeReport()
	switch {
	case err != nil:
		return fail(err)
	case report == nil && plan.background:
		return plan.startSupervisor(cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return plan.supervise(cmd.Context(), cmd.ErrOrStderr(), report)
}

// isSpawnFCGI reports whether a program that is called by this name is to
// stand in for spawn-fcgi.
func isSpawnFCGI(args []string) bool {
	return len(args) > 0 && filepath.Base(args[0]) == spawnFCGI
}

// runSpawnFCGI is the whole program under the name spawn-fcgi.
func runSpawnFCGI(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := newSpawn(spawnFCGI)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	}
	printErrorAs(stderr, spawnFCGI, err)
	if _, ok := errors.AsType[*failure](err); !ok {
		fmt.Fprintf(stderr, "%s: hint: see %q\n", spawnFCGI, spawnFCGI+" -h")
	}
	if refused, ok := errors.AsType[*spawnError](err); ok {
		return refused.status
	}
	return exitSpawnFCGI
}

// exitSpawnFCGI is what spawn-fcgi ends with when it refuses something.
const exitSpawnFCGI = 255

// A spawnError is a failure with an exit status of its own, which counts under
// the name spawn-fcgi only.
type spawnError struct {
	text   string
	status int
}

func (e *spawnError) Error() string { return e.text }

// name returns the one that messages begin with.
func (p *spawnPlan) name() string {
	if p.compat {
		return spawnFCGI
	}
	return "sluice"
}

// isInit reports whether we are process 1: nobody else can keep a container
// alive, or collect the processes that lose their parent.
func isInit() bool { return os.Getpid() == 1 }
