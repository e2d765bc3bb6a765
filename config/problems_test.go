package config_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/sluice-gateway/sluice/config"
)

var update = flag.Bool("update", false, "write the complaints that there are into testdata/problems")

// The archives in testdata/problems hold configurations, each followed by the
// problems that Parse finds in it.
func TestProblems(t *testing.T) {
	files, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("archives = %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { testArchive(t, file) })
	}
}

func testArchive(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(archive.Files); i += 2 {
		in, want := archive.Files[i], &archive.Files[i+1]
		t.Run(in.Name, func(t *testing.T) {
			cfg, problems := config.Parse("s.toml", in.Data)
			if cfg == nil {
				t.Fatal("Parse returned no Config")
			}
			got := lines(problems)
			switch {
			case *update:
				want.Data = []byte(got)
			case got == "":
				t.Error("Parse found no problem, want some")
			case got != string(want.Data):
				t.Errorf("Parse(\n%s) found\n%swant\n%s", in.Data, got, want.Data)
			}
		})
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(archive), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// lines returns problems as they are printed.
func lines(problems []config.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}
