package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var heading = regexp.MustCompile("(?m)^(## .*|### `([a-z_.]+)`.*)$")

// The manual has a paragraph for each key, in the order of the tables.
func TestManualHasEveryKey(t *testing.T) {
	text, err := os.ReadFile("../doc/sluice.toml.md")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string][]string) // keys, by section
	section := ""
	for _, m := range heading.FindAllStringSubmatch(string(text), -1) {
		if m[2] == "" {
			section = strings.TrimPrefix(m[1], "## ")
			continue
		}
		got[section] = append(got[section], m[2])
	}
	top := slices.DeleteFunc(names(configKeys()), func(k string) bool { return k == "backend" || k == "route" })
	want := map[string][]string{"The file": top, "[backend.NAME]": names(backendKeys()), "[[route]]": names(routeKeys())}
	for section, keys := range want {
		if !slices.Equal(got[section], keys) {
			t.Errorf("the manual has in %q\n%q, want\n%q", section, got[section], keys)
		}
		delete(got, section)
	}
	if len(got) > 0 {
		t.Errorf("the manual has keys in sections that there are not: %v", got)
	}
}

var block = regexp.MustCompile("(?s)```toml\n(.*?)```")

// What the manual shows as a whole file is one.
func TestManualShowsGoodFiles(t *testing.T) {
	text, err := os.ReadFile("../doc/sluice.toml.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := block.FindAllSubmatch(text, -1)
	if len(blocks) == 0 {
		t.Fatal("the manual has no example")
	}
	for _, b := range blocks {
		if _, problems := Parse("sluice.toml.md", b[1]); len(problems) > 0 {
			t.Errorf("Parse(\n%s) found %v", b[1], problems)
		}
	}
}
