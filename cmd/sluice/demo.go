package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice"
	"github.com/sluice-gateway/sluice/cgi/cgihttp"
	"github.com/sluice-gateway/sluice/cmd/sluice/demo"
	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
	"github.com/sluice-gateway/sluice/cmd/sluice/service"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/spf13/cobra"
)

// demoWorkers is the number of processes of the demonstration.
const demoWorkers = 3

func newDemo() *cobra.Command {
	var listen string
	var worker bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Serve the built-in demonstration",
		Long: `Demo starts a gateway and, from this same program, worker processes that speak
FastCGI. Open the address that it prints: the page shows which worker answered,
takes a form with a file, and streams a response line by line. Ctrl-C ends it.

Exit status: 0 if it was ended by a signal, 1 if it could not start, 2 wrong
usage.`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, args []string) error {
			if worker {
				return outcome.Fail(runDemoWorker())
			}
			self, err := os.Executable()
			if err != nil {
				return outcome.Fail(err)
			}
			cfg := oneApplication("", config.Backend{
				Name: "demo", Command: []string{self, "demo", "--worker"}, Processes: config.Processes{Max: demoWorkers},
			})
			cfg.Listen = []string{listen}
			cfg.AccessLog = "off"
			log, err := service.NewLog(cmd.ErrOrStderr(), "text", false)
			if err != nil {
				return err
			}
			load := func() (*config.Config, []config.Problem, error) { return cfg, nil, nil }
			return serve(cmd.Context(), load, sluice.Options{Log: log, Stdout: cmd.OutOrStdout()}, cmd.ErrOrStderr(), func(s *sluice.Server) {
				for _, at := range s.Addrs() {
					fmt.Fprintf(cmd.OutOrStdout(), "open %s (Ctrl-C ends it)\n", sluice.URL(at))
				}
			})
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "take HTTP at `ADDR`; port 0 takes any free one")
	cmd.Flags().BoolVar(&worker, "worker", false, "be a worker: serve FastCGI on descriptor 0")
	cmd.Flags().MarkHidden("worker")
	return cmd
}

// runDemoWorker is a worker process: an application like any other.
func runDemoWorker() error {
	l, err := fastcgi.Listen("fd:0")
	if err != nil {
		return err
	}
	s := &fastcgi.Server{Handler: cgihttp.Handler(demo.Handler())}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }() // ends at Shutdown; awaited below
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = s.Shutdown(drain)
	if serr := <-ended; !errors.Is(serr, fastcgi.ErrClosed) {
		err = errors.Join(err, serr)
	}
	return err
}
