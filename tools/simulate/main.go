// Simulate plays load against the rule that says how many processes a backend
// has, and against those of others, on virtual time, and draws what happens.
//
//	go run ./tools/simulate [FOLDER]
//
// It writes one scale-NAME.svg for each scenario into the folder (default: the
// present one) and a table to standard output.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

func main() {
	dir := "."
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	if err := run(dir); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

// rules are new for each scenario: they remember.
func rules() []named {
	return []named{
		{"Sluice", &sluice{}},
		{"lighttpd", lighttpd{}},
		{"php-fpm dynamic", &dynamic{}},
		{"php-fpm ondemand", ondemand{}},
	}
}

type named struct {
	name string
	rule rule
}

func run(dir string) error {
	fmt.Println("| load | rule | waiting p50 | p95 | p99 | longest | started | process seconds |")
	fmt.Println("|---|---|--:|--:|--:|--:|--:|--:|")
	for _, s := range scenarios {
		var drawn []column
		for _, r := range rules() {
			w := s.play(r.rule)
			fmt.Printf("| %s | %s | %s |\n", s.name, r.name, summary(w.record))
			drawn = append(drawn, column{r.name, w.record})
		}
		file := filepath.Join(dir, "scale-"+s.name+".svg")
		if err := os.WriteFile(file, draw(s, drawn[:2]), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func summary(r record) string {
	all := took(r.waits)
	return fmt.Sprintf("%s | %s | %s | %s | %d | %.0f", inWords(share(all, 0.5)), inWords(share(all, 0.95)),
		inWords(share(all, 0.99)), inWords(share(all, 1)), r.started, r.seconds)
}

// took returns how long the requests waited, the shortest first.
func took(ws []wait) []time.Duration {
	var all []time.Duration
	for _, w := range ws {
		all = append(all, w.took)
	}
	slices.Sort(all)
	return all
}

// share returns what that share of them did not exceed.
func share(sorted []time.Duration, part float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}

func inWords(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
}
