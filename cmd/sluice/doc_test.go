package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

const docFolder = "../../doc"

// pageOf returns the name of a command's page.
func pageOf(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".md"
}

// documented returns the commands that have a page: the root and its own.
func documented() []*cobra.Command {
	root := newRoot()
	return append([]*cobra.Command{root}, root.Commands()...)
}

// TestPages: what a command's page says about the command line is what --help
// says.
func TestPages(t *testing.T) {
	for _, cmd := range documented() {
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			src, err := os.ReadFile(filepath.Join(docFolder, pageOf(cmd)))
			if err != nil {
				t.Fatal(err)
			}
			page := string(src)
			cmd.InitDefaultHelpFlag()
			cmd.InitDefaultVersionFlag()
			has := func(what, text string) {
				if !strings.Contains(page, text) {
					t.Errorf("%s lacks the %s of --help:\n%s", pageOf(cmd), what, text)
				}
			}
			has("name", "# "+cmd.CommandPath()+"\n")
			has("flags", "\n## Options\n\n```\n"+cmd.LocalFlags().FlagUsages()+"```\n")
			if cmd.HasParent() {
				has("usage line", "\n    "+cmd.UseLine()+"\n")
			}
			for example := range strings.Lines(cmd.Example) {
				has("example", "\n    "+strings.TrimSpace(example)+"\n")
			}
			for _, sub := range cmd.Commands() {
				has("command", "`]("+pageOf(sub)+")")
			}
			for _, heading := range []string{"## Exit status", "## When it fails"} {
				has("heading", "\n"+heading+"\n")
			}
		})
	}
}

// A command that is gone leaves no page behind.
func TestNoOtherPages(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(docFolder, "sluice*.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"sluice.toml.md": true}
	for _, cmd := range documented() {
		known[pageOf(cmd)] = true
	}
	for _, page := range pages {
		if !known[filepath.Base(page)] {
			t.Errorf("%s is the page of no command", page)
		}
	}
}
