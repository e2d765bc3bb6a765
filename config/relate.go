package config

import (
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/internal/address"
)

// relate compares what has been read: keys that exclude or need each other,
// names, and routes that hide other routes. After a syntax error something may
// be missing that is there, so that nothing is said about what is missing.
func (r *reader) relate(broken bool) {
	r.sameAddresses("listen", "listen", r.cfg.Listen)
	for i := range r.cfg.Routes {
		r.relateRoute(i, broken)
	}
	for i := range r.cfg.Backends {
		r.relateBackend(&r.cfg.Backends[i], broken)
	}
	if broken {
		return
	}
	at, index := r.keyAt["index"]
	switch {
	case r.has("root"):
	case index:
		r.report(at, "index has no effect without root", "give root")
	case !r.has("route") && !r.has("backend"):
		r.report(0, "there is neither root nor a route, so that nothing would be served", `write root = "." for the files of this folder`)
	}
	r.hiddenRoutes()
	r.unusedBackends()
}

// has reports whether a key is there, whatever its value is.
func (r *reader) has(path string) bool {
	_, ok := r.keyAt[path]
	return ok
}

// sameAddresses complains about addresses that are there twice. Port 0 is
// another port each time.
func (r *reader) sameAddresses(path, name string, list []string) {
	seen := make(map[string]place)
	for i, s := range list {
		at, err := address.Parse(s)
		if err != nil || at.Network == "tcp" && strings.HasSuffix(at.Address, ":0") {
			continue
		}
		p := r.cfg.places[fmt.Sprintf("%s[%d]", path, i)]
		first, twice := seen[at.String()]
		if !twice {
			seen[at.String()] = p
			continue
		}
		r.reportPlace(p, fmt.Sprintf("%s has %s twice", name, quoted(s)), fmt.Sprintf("remove one; the first is in line %d", first.line))
	}
}

// reportPlace takes a problem at a place.
func (r *reader) reportPlace(p place, text, hint string) {
	r.problems = append(r.problems, Problem{r.cfg.file, p.line, p.col, text, hint})
}

// exclusive returns which of some keys of a section are there, and complains if
// there are several. what names the section.
func (r *reader) exclusive(path, what string, keys []string) (given []string) {
	for _, k := range keys {
		if r.has(path + k) {
			given = append(given, k)
		}
	}
	if len(given) < 2 {
		return given
	}
	last := len(given) - 1
	text := fmt.Sprintf("%s has %s and %s, which exclude each other", what, strings.Join(given[:last], ", "), given[last])
	r.report(max(r.keyAt[path+given[0]], r.keyAt[path+given[1]]), text, "keep one")
	return given
}
