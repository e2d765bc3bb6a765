package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
	"github.com/sluice-gateway/sluice/config"
)

// readConfig reads a configuration and finds everything that is wrong with it,
// in the text and beyond. The paths of the result are absolute.
func readConfig(file string) (*config.Config, []config.Problem, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, unreadable(file, err)
	}
	dir := filepath.Dir(file)
	cfg, problems := config.Parse(file, src)
	problems = append(problems, config.Check(cfg, dir)...)
	slices.SortStableFunc(problems, func(a, b config.Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return cfg, problems, cfg.Resolve(dir)
}

// unreadable is the failure to read a configuration.
func unreadable(file string, err error) error {
	f := &outcome.Failure{Err: fmt.Errorf("configuration %s: %w", file, err)}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		f.Err = fmt.Errorf("%s configuration %s: %w", pe.Op, file, pe.Err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		f.Hint = "without a configuration, \"sluice serve FOLDER\" serves a folder"
	}
	return f
}

// printProblems prints a line for each problem, in the form that editors read,
// and how many there were.
func printProblems(w io.Writer, problems []config.Problem, so string) {
	for _, p := range problems {
		if p.File == "" {
			io.WriteString(w, "sluice: ")
		}
		fmt.Fprintln(w, p)
	}
	fmt.Fprintf(w, "sluice: %s%s\n", counted(len(problems), "problem"), so)
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
