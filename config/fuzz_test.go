package config

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzParse: every text is read without a panic, twice the same; problems are
// in order, each at a place that is in the file, and say what is wrong; what
// has no problem can be resolved, and that twice.
func FuzzParse(f *testing.F) {
	f.Add([]byte(every))
	archives, _ := filepath.Glob("testdata/problems/*.txtar")
	for _, file := range archives {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for i := 0; i < len(archive.Files); i += 2 {
			f.Add(archive.Files[i].Data)
		}
	}
	examples, _ := filepath.Glob("../examples/*.toml")
	for _, file := range examples {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		cfg, problems := Parse("f", src)
		checkPlaces(t, src, problems)
		if _, again := Parse("f", src); len(again) != len(problems) {
			t.Errorf("Parse(%q) found %d problems, then %d", src, len(problems), len(again))
		}
		if err := cfg.Resolve("/d"); err != nil {
			t.Errorf("Resolve after Parse(%q) = %v", src, err)
		}
	})
}

func checkPlaces(t *testing.T, src []byte, problems []Problem) {
	t.Helper()
	text := bytes.Split(bytes.TrimPrefix(src, []byte("\uFEFF")), []byte("\n"))
	var last Problem
	for _, p := range problems {
		switch {
		case p.Line < 1 || p.Line > len(text):
			t.Fatalf("Parse(%q): %v is outside of the file", src, p)
		case p.Col < 1 || p.Col > utf8.RuneCount(text[p.Line-1])+1:
			t.Fatalf("Parse(%q): %v is outside of its line", src, p)
		case p.Line < last.Line || p.Line == last.Line && p.Col < last.Col:
			t.Fatalf("Parse(%q): %v comes after %v", src, p, last)
		case p.Text == "" || bytes.ContainsAny([]byte(p.String()), "\n\x00"):
			t.Fatalf("Parse(%q): %q is not one line of text", src, p)
		}
		last = p
	}
}
