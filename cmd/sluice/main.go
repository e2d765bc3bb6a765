// Command sluice is a FastCGI gateway and process manager, and a box of tools
// around FastCGI. "sluice --help" is its manual in small.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
	"github.com/sluice-gateway/sluice/cmd/sluice/spawn"
	"github.com/spf13/cobra"
)

func main() {
	if spawn.StandsIn(os.Args[0]) {
		os.Exit(spawn.Run(context.Background(), version(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program but for the exit.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	return outcome.Report(stderr, "sluice", err, cmd.CommandPath()+" --help")
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "The FastCGI gateway and process manager",
		Long: `Sluice stands between HTTP and applications that speak FastCGI. It starts
them, balances them, keeps them alive, and says in plain words what is wrong
when something is.

    sluice demo                   see it work, with applications of its own
    sluice serve                  serve this folder, with PHP if it is there
    sluice serve -c sluice.toml   serve what a configuration says

Addresses are unix:/path, unix:@abstract, host:port, [::1]:port or fd:0; a bare
path is a unix socket.

Exit status: 0 good, 1 problems found or failed, 2 wrong usage.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
		Args:          func(cmd *cobra.Command, args []string) error { return unknownCommand(cmd) },
		RunE:          func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		// The flags of a command that is misspelt are not the root's, either.
		if !cmd.HasParent() {
			err = cmp.Or(unknownCommand(cmd), err)
		}
		return err
	})
	root.AddCommand(newServe(), newDemo(), newCheck(), newGet(), newPing(), spawn.Command(version()))
	return root
}

// unknownCommand returns an error if there is a word where a command should be.
func unknownCommand(root *cobra.Command) error {
	word := root.Flags().Arg(0)
	if word == "" {
		return nil
	}
	root.SuggestionsMinimumDistance = 2
	meant := root.SuggestionsFor(word)
	if len(meant) == 0 {
		return fmt.Errorf("there is no command %q", word)
	}
	return fmt.Errorf("there is no command %q: did you mean %s?", word, strings.Join(meant, " or "))
}

// wantArgs bounds the number of arguments; max -1 means any number.
func wantArgs(min, max int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if n := len(args); n >= min && (n <= max || max < 0) {
			return nil
		}
		return fmt.Errorf("%s has %s: want %q", cmd.Name(), counted(len(args), "argument"), cmd.UseLine())
	}
}

// version says what this program was built from.
func version() string {
	v := "devel"
	info, ok := debug.ReadBuildInfo()
	if ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		v = info.Main.Version
	}
	return fmt.Sprintf("%s (%s, %s/%s)", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
