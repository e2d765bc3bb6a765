package sluice

import (
	"os"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/recipe"
)

// Folder returns the configuration of a folder without one: its files, and
// *.php through the PHP that is installed, which Sluice starts.
func Folder(root string) *config.Config {
	cfg := &config.Config{Root: root}
	if _, ok := recipe.FindPHP(os.Getenv("PATH")); ok {
		cfg.Backends = []config.Backend{{Name: "php", PHP: "auto"}}
		cfg.Routes = []config.Route{{Path: "*.php", Backend: "php"}}
	}
	return cfg
}
