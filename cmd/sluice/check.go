package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice"
	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/address"
	"github.com/spf13/cobra"
)

func newCheck() *cobra.Command {
	var live bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Find every problem in a configuration",
		Long: `Check reads the configuration in FILE, reports every problem in it with its
place and what to do, and starts nothing. What is missing on this machine is a
problem, too: programs, folders, accounts, the right to set a limit. With --live
it asks the workers that the configuration connects to as well.

Exit status: 0 no problem, 1 problems found, 2 wrong usage.`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, problems, err := readConfig(args[0])
			if err != nil {
				return outcome.Fail(err)
			}
			ok := len(problems) == 0
			if !ok {
				printProblems(cmd.ErrOrStderr(), problems, "")
			}
			if ok {
				for _, err := range sluice.Check(cfg) {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", args[0], err)
					ok = false
				}
			}
			if live {
				ok = pingAll(cmd, cfg) && ok
			}
			if !ok {
				return outcome.Code(outcome.Problem)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", args[0])
			return nil
		},
	}
	cmd.Flags().BoolVar(&live, "live", false, "ask the workers whether they answer")
	return cmd
}

// pingAll asks every worker that somebody else runs.
func pingAll(cmd *cobra.Command, cfg *config.Config) bool {
	const patience = 5 * time.Second
	ok := true
	for _, b := range cfg.Backends {
		for _, worker := range b.Connect {
			at, err := address.Parse(worker)
			if err != nil {
				continue // said by config.Parse
			}
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), patience, noAnswer{patience})
			ok = ping(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr(), at, "") && ok
			cancel()
		}
	}
	return ok
}
