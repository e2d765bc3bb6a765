package config

import (
	"fmt"
	"slices"
	"strings"
)

// unknown complains about a key that a section does not have. The key that was
// probably meant counts as given where keys are compared with each other, so
// that one mistake makes one complaint.
func (r *reader) unknown(f *field, name string, sec section, known []string) {
	shown := name
	if !strings.Contains(name, `"`) {
		shown = quoted(name)
	}
	what := "unknown key " + shown + sec.in
	if len(r.problems) > maxProblems { // hints cost time, and nobody will see them
		r.report(f.at, what, "")
		return
	}
	if elsewhere := home(name, sec.path); elsewhere != "" {
		r.report(f.at, what, elsewhere)
		return
	}
	if slices.Contains(known, strings.Trim(name, `"`)) {
		r.report(f.at, what+", with a dot that belongs to the name", "remove the quotes")
		return
	}
	meant := nearest(name, append(groups(known), known...))
	if other := byOthers[name]; meant == "" && slices.Contains(known, other) {
		meant = other
	}
	r.report(f.at, what, didYouMean(meant))
	if meant != "" {
		r.meant(sec.path+meant, f)
	}
}

// meant notes that a key was probably meant, and those of its table.
func (r *reader) meant(path string, f *field) {
	if _, given := r.keyAt[path]; given {
		return
	}
	r.keyAt[path] = f.at
	for _, sub := range f.value.fields {
		r.keyAt[path+"."+sub.name] = sub.at
	}
}

// byOthers is what other servers and earlier habits call our keys.
var byOthers = map[string]string{
	"address": "connect", "socket": "connect", "host": "connect", "server": "connect", "upstream": "connect", "fastcgi_pass": "connect",
	"bin-path": "command", "exec": "command", "cmd": "command", "run": "command", "args": "command",
	"workers": "processes.max", "max_procs": "processes.max", "max-procs": "processes.max",
	"bin-environment": "env", "environment": "env", "cwd": "dir", "working_dir": "dir",
	"docroot": "root", "document_root": "root", "document-root": "root",
	"match": "path", "prefix": "path", "location": "path", "proxy": "backend", "pass": "backend",
	"check-local": "check_local", "try_files": "fallback", "client_max_body_size": "max_body",
	"port": "listen", "bind": "listen", "server_name": "listen",
}

// home says in which other section a key belongs that is not one here.
func home(name, here string) string {
	switch {
	case here != "" && slices.Contains(names(configKeys()), name):
		return "put it before the first [section]"
	case !strings.HasPrefix(here, "backend.") && slices.Contains(names(backendKeys()), name):
		return "it belongs into [backend.NAME]"
	case !strings.HasPrefix(here, "route[") && slices.Contains(names(routeKeys()), name):
		return "it belongs into [[route]]"
	}
	return ""
}

// groups returns the tables that dotted keys make, "queue" of "queue.max".
func groups(known []string) []string {
	var list []string
	for _, k := range known {
		if group, _, dotted := strings.Cut(k, "."); dotted && !slices.Contains(list, group) {
			list = append(list, group)
		}
	}
	return list
}

// below lists the keys of the table called group, for a hint.
func below(known []string, group string) string {
	var list []string
	for _, k := range known {
		if rest, ok := strings.CutPrefix(k, group+"."); ok {
			list = append(list, rest)
		}
	}
	return strings.Join(list, ", ")
}

func didYouMean(word string) string {
	if word == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", word)
}

// nearest returns the one of the words that a misspelt one is closest to, or
// "" if none is close: a third of it may be wrong. Case, and - for _, count
// for nothing.
func nearest(wrong string, words []string) string {
	if len(wrong) > maxName {
		return ""
	}
	plain := strings.NewReplacer("-", "_", ".", "_")
	wrong = plain.Replace(strings.ToLower(wrong))
	best, least := "", max(1, len(wrong)/3)+1
	for _, w := range words {
		if len(w) > maxName {
			continue
		}
		if d := distance(wrong, plain.Replace(strings.ToLower(w))); d < least {
			best, least = w, d
		}
	}
	return best
}

// distance is the number of bytes to insert, remove, replace or swap with
// their neighbour to get from a to b (optimal string alignment).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j]+change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
