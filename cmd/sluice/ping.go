package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/internal/address"
	"github.com/spf13/cobra"
)

func newPing() *cobra.Command {
	var path string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "ping ADDR...",
		Short: "Ask whether FastCGI applications answer",
		Long: `Ping connects to each ADDR and asks the application about itself, with
FCGI_GET_VALUES. That needs one free process of the application, but runs no
script. With --path it sends a real request instead, for example for php-fpm's
ping.path.

Exit status: 0 if all of them answer, else 1; 2 wrong usage.`,
		Example: `  sluice ping /run/php/php-fpm.sock
  sluice ping 127.0.0.1:9000 --path /ping`,
		Args: wantArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			addrs := make([]address.Address, len(args))
			for i, arg := range args {
				var err error
				if addrs[i], err = dialable(arg); err != nil {
					return err
				}
			}
			ok := true
			for _, at := range addrs {
				ctx, cancel := context.WithTimeoutCause(cmd.Context(), timeout, noAnswer{timeout})
				ok = ping(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr(), at, path) && ok
				cancel()
			}
			if !ok {
				return outcome.Code(outcome.Problem)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&path, "path", "", "send a request for this `PATH` (SCRIPT_NAME and SCRIPT_FILENAME) and want a status below 400")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "give up after this `TIME`")
	return cmd
}

// ping asks one application and prints a line about it.
func ping(ctx context.Context, stdout, stderr io.Writer, at address.Address, path string) bool {
	start := time.Now()
	ask := askValues
	if path != "" {
		ask = askPath
	}
	said, err := ask(ctx, at, path)
	if err != nil {
		outcome.Print(stderr, "sluice", outcome.Lines(unreached("ping", at, err))...)
		return false
	}
	fmt.Fprintf(stdout, "%s answers in %v%s\n", at, time.Since(start).Round(10*time.Microsecond), said)
	return true
}

func askValues(ctx context.Context, at address.Address, _ string) (said string, err error) {
	values, err := fastcgi.Values(ctx, at.Network, at.Address, fastcgi.MaxConns, fastcgi.MaxReqs, fastcgi.MpxsConn)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return ", but not to GET_VALUES: it closed the connection", nil
	}
	if err != nil {
		return "", err
	}
	for _, v := range values {
		said += fmt.Sprintf(" %s=%s", v.Name, v.Value)
	}
	return said, nil
}

func askPath(ctx context.Context, at address.Address, path string) (said string, err error) {
	client := &fastcgi.Client{MaxIdle: -1}
	defer client.Close()
	resp, err := client.RoundTrip(ctx, at.Network, at.Address, &cgi.Request{
		Method: "GET", Target: path, Proto: "HTTP/1.1", Host: "localhost", ContentLength: -1,
		Script: cgi.Script{Name: path, Filename: path},
	})
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.Status >= 400 {
		return "", fmt.Errorf("status %d for %s", resp.Status, path)
	}
	return fmt.Sprintf(" with status %d", resp.Status), nil
}
