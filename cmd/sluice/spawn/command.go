// Package spawn is "sluice spawn", which starts an application on a socket and
// supervises it, and the same under the name spawn-fcgi.
//
// A command line becomes flags, and these become a plan: what is asked for,
// checked. In the background the plan is carried out by the same program once
// more, in a session of its own, which reports how its start went (daemon.go,
// report.go). What carries it out is a supervisor: supervise.go puts it together
// with its log, its PID file and what it looks at, and supervisor.go is its
// loop. The processes themselves are those of package process (application.go).
package spawn

import (
	"os"

	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
	"github.com/spf13/cobra"
)

// Command returns the command "spawn" of a program of this version.
func Command(version string) *cobra.Command { return newCommand("spawn", version) }

func newCommand(name, version string) *cobra.Command {
	f := flags{compat: name == spawnFCGI}
	cmd := &cobra.Command{
		Use:   name + " [flags] [-- COMMAND [ARG...]]",
		Short: "Start a FastCGI application on a socket, and keep it running",
		Long: `Spawn starts COMMAND, with a listening socket as descriptor 0, and keeps it
running. It takes the flags of spawn-fcgi, and is a drop-in for it under that
name; unlike spawn-fcgi it stays, as a supervisor, and starts again what dies.

Without -n it returns when the application accepts connections, and the
supervisor works on in the background; the PID that is printed, and that is in
the PID file, is the supervisor's: SIGTERM to it ends everything. With -n it
stays in the foreground, and so it does as process 1 of a container.

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
		Version:               version,
		RunE:                  f.run,
	}
	// Scripts that look at the version find the one that we can stand in for.
	cmd.SetVersionTemplate(spawnFCGI + " v1.6.4 (sluice {{.Version}}) - spawns FastCGI processes\n")
	f.define(cmd)
	return cmd
}

func (f *flags) run(cmd *cobra.Command, args []string) error {
	if f.usage {
		return cmd.Help()
	}
	plan, err := f.plan(args)
	if err != nil {
		return err
	}
	if !plan.background {
		return plan.supervise(cmd.Context(), cmd.ErrOrStderr(), nil)
	}
	report, err := takeReport()
	switch {
	case err != nil:
		return outcome.Fail(err)
	case report == nil:
		return plan.startSupervisor(cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return plan.supervise(cmd.Context(), cmd.ErrOrStderr(), report)
}

// isInit reports whether we are process 1: nobody else can keep a container
// alive, or collect the processes that lose their parent.
func isInit() bool { return os.Getpid() == 1 }
