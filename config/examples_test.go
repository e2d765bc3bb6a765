package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-gateway/sluice/config"
)

// The examples are what people copy.
func TestExamplesHaveNoProblems(t *testing.T) {
	files, err := filepath.Glob("../examples/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("examples = %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if _, problems := config.Parse(file, src); len(problems) > 0 {
				t.Errorf("Parse found\n%s", lines(problems))
			}
		})
	}
}
