package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sluice-gateway/sluice"
	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
	"github.com/sluice-gateway/sluice/cmd/sluice/service"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/address"
	"github.com/sluice-gateway/sluice/internal/logqueue"
	"github.com/sluice-gateway/sluice/internal/sdnotify"
	"github.com/spf13/cobra"
)

// serveFlags are the flags of "sluice serve".
type serveFlags struct {
	file, fastcgi, format string
	listen, watch         []string
	verbose               bool
}

func newServe() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve [flags] [ROOT] [-- COMMAND [ARG...]]",
		Short: "Run the gateway",
		Long: `Serve runs the gateway until it is told to stop.

Without -c it serves the files of ROOT (the current folder if it is missing),
and runs *.php through PHP if php-fpm or php-cgi is installed, which it starts
itself. With --fastcgi everything goes to the application at that address; with
-- COMMAND everything goes to that command, which is started with its socket as
descriptor 0.

Signals: SIGTERM and SIGINT take no new requests, finish the old ones and end;
a second one ends at once. SIGHUP reads the configuration again; if it has a
problem, or what it starts does not come up, the one in use stays. SIGUSR1
replaces the processes of all applications, and SIGUSR2 Sluice itself: the
program is started once more and gets the listeners, and when it serves this one
finishes what it has and ends. No request is lost by either.

Exit status: 0 if it was ended by a signal and finished what it had begun,
1 if it could not start or finish, 2 wrong usage.`,
		Example: `  sluice serve
  sluice serve /srv/wiki --listen 127.0.0.1:8000
  sluice serve -c /etc/sluice/sluice.toml
  sluice serve --fastcgi unix:/run/app.sock
  sluice serve -- ./app -v
  sluice serve --watch app.pl -- perl app.pl`,
		DisableFlagsInUseLine: true, // after -- they are the command's
		RunE:                  f.run,
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVarP(&f.file, "config", "c", "", "read the configuration from `FILE`")
	fs.StringArrayVar(&f.listen, "listen", nil, "take HTTP at `ADDR` (default 127.0.0.1:8080); may be repeated; wins over the configuration")
	fs.StringVar(&f.fastcgi, "fastcgi", "", "hand everything to the FastCGI application at `ADDR`")
	fs.StringArrayVar(&f.watch, "watch", nil, "replace the processes of COMMAND when a file at or below `PATH` changes; may be repeated")
	fs.StringVar(&f.format, "log", "text", "`FORMAT` of the log on standard error: text or json")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "log what is of interest to developers, too")
	return cmd
}

func (f *serveFlags) run(cmd *cobra.Command, args []string) error {
	load, err := f.loader(cmd, args)
	if err != nil {
		return err
	}
	log, queue, err := service.QueuedLog(cmd.ErrOrStderr(), f.format, f.verbose)
	if err != nil {
		return err
	}
	defer queue.Close(logqueue.Patience)
	return serve(cmd.Context(), load, sluice.Options{Log: log, Stdout: cmd.OutOrStdout()}, cmd.ErrOrStderr(), nil)
}

// A loader reads the configuration, at the start and at each reload.
type loader func() (*config.Config, []config.Problem, error)

// loader returns what the command line says about where the configuration
// comes from.
func (f *serveFlags) loader(cmd *cobra.Command, args []string) (loader, error) {
	command := []string(nil)
	if at := cmd.ArgsLenAtDash(); at >= 0 {
		args, command = args[:at], args[at:]
		if len(command) == 0 {
			return nil, errors.New("there is no command after --")
		}
	}
	if len(args) > 1 {
		return nil, fmt.Errorf("serve takes one ROOT, not %d", len(args))
	}
	for _, l := range f.listen {
		if _, err := address.Parse(l); err != nil {
			return nil, fmt.Errorf("--listen: %w", err)
		}
	}
	given := 0
	for _, is := range []bool{f.file != "", f.fastcgi != "", command != nil} {
		if is {
			given++
		}
	}
	switch {
	case len(f.watch) > 0 && command == nil:
		return nil, errors.New("--watch is for -- COMMAND; in a configuration, give the backend watch")
	case given > 1:
		return nil, errors.New("give only one of -c, --fastcgi and -- COMMAND")
	case f.file != "" && len(args) > 0:
		return nil, errors.New("ROOT and -c exclude each other: the configuration names the root")
	case f.file != "":
		return f.fromFile, nil
	}
	root := "."
	if len(args) == 1 {
		root = args[0]
	}
	switch {
	case f.fastcgi != "":
		if _, err := address.Parse(f.fastcgi); err != nil {
			return nil, fmt.Errorf("--fastcgi: %w", err)
		}
		return f.fixed(oneApplication(root, config.Backend{Name: "app", Connect: []string{f.fastcgi}})), nil
	case command != nil:
		return f.fixed(oneApplication(root, config.Backend{Name: "app", Command: command, Watch: f.watch})), nil
	}
	return f.fixed(sluice.Folder(root)), nil
}

// fromFile reads the file of -c.
func (f *serveFlags) fromFile() (*config.Config, []config.Problem, error) {
	cfg, problems, err := readConfig(f.file)
	if cfg != nil && len(f.listen) > 0 {
		cfg.Listen = f.listen
	}
	return cfg, problems, err
}

// fixed returns a configuration that the command line describes.
func (f *serveFlags) fixed(cfg *config.Config) loader {
	if len(f.listen) > 0 {
		cfg.Listen = f.listen
	}
	return func() (*config.Config, []config.Problem, error) {
		return cfg, config.Check(cfg, "."), cfg.Resolve(".")
	}
}

// oneApplication is the configuration that hands everything to one backend.
func oneApplication(root string, b config.Backend) *config.Config {
	return &config.Config{
		Root:     root,
		Backends: []config.Backend{b},
		Routes:   []config.Route{{Path: "", Backend: b.Name}},
	}
}

// serve runs a gateway until a signal ends it. ready, if not nil, is called
// when it takes requests.
func serve(ctx context.Context, load loader, o sluice.Options, stderr io.Writer, ready func(*sluice.Server)) error {
	cfg, problems, err := load()
	if err != nil {
		return outcome.Fail(err)
	}
	if len(problems) > 0 {
		printProblems(stderr, problems, ": nothing was started")
		return outcome.Code(outcome.Problem)
	}
	// Signals count from before the first process is started, so that none
	// is left behind.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	service.OutliveReaders()
	defer service.Adopt(o.Log)()
	self, err := os.Executable() // before somebody replaces it
	if err != nil {
		return outcome.Fail(err)
	}
	succeeds, err := takeOver(&o)
	if err != nil {
		return outcome.Fail(err)
	}
	starting, began := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	s, err := sluice.New(starting, cfg, o)
	began()
	if err != nil {
		return outcome.Fail(err)
	}
	if ready != nil {
		ready(s)
	}
	if succeeds != nil {
		succeeds() // and the predecessor tells the service manager, which listens to it still
	} else {
		service.Told(o.Log, sdnotify.Ready("serving"))
	}
	g := &serving{server: s, load: load, program: self, log: o.Log}
	return g.run(ctx, signals)
}
