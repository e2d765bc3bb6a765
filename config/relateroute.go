package config

import (
	"fmt"
	"strings"
)

// relateRoute compares the keys of a route.
func (r *reader) relateRoute(i int, broken bool) {
	route := &r.cfg.Routes[i]
	path, what := fmt.Sprintf("route[%d].", i), fmt.Sprintf("route %d", i+1)
	for _, k := range []string{"deny", "files"} { // deny = false is as good as no deny
		if _, read := r.cfg.places[path+k]; read && !(k == "deny" && route.Deny || k == "files" && route.Files) {
			delete(r.keyAt, path+k)
		}
	}
	given := r.exclusive(path, what, []string{"backend", "deny", "files"})
	switch {
	case broken || !r.has(path[:len(path)-1]):
		return
	case len(given) == 0:
		r.report(r.keyAt[path[:len(path)-1]], what+" does not say what to do", "give it backend, deny = true or files = true")
	case len(given) == 1 && given[0] == "backend":
		r.backendNamed(i)
		r.needsRoot(i, path, what)
	case len(given) == 1:
		r.onlyForBackends(path, what, given[0])
	}
}

// needsRoot complains about a file check without files. Where that is only the
// default, there is none without root: the application may be elsewhere.
func (r *reader) needsRoot(i int, path, what string) {
	if check := r.cfg.Routes[i].CheckLocal; check != nil && *check && !r.has("root") {
		r.report(r.keyAt[path+"check_local"], "check_local in "+what+" needs root", "give root at the top of the file")
	}
}

// onlyForBackends complains about keys that say how a backend is asked, in a
// route that asks none.
func (r *reader) onlyForBackends(path, what, action string) {
	for _, k := range []string{"check_local", "max_body", "fallback"} {
		if at, ok := r.keyAt[path+k]; ok {
			r.report(at, fmt.Sprintf("%s in %s has no effect with %s", k, what, action), "remove it")
		}
	}
	if at := r.keyAt[path+action]; action == "files" && !r.has("root") {
		r.report(at, "files in "+what+" needs root", "give root at the top of the file")
	}
}

// hiddenRoutes complains about routes that never get a request, because an
// earlier route has taken each that they match.
func (r *reader) hiddenRoutes() {
	read := make([]bool, len(r.cfg.Routes))
	for i := range r.cfg.Routes {
		read[i] = r.readPath(i)
		for j := range i {
			if read[i] && read[j] && hides(r.cfg.Routes[j].Path, r.cfg.Routes[i].Path) {
				r.hidden(i, j)
				break
			}
		}
	}
}

// readPath reports whether the path of a route is what the file says, be it by
// silence.
func (r *reader) readPath(i int) bool {
	route := fmt.Sprintf("route[%d]", i)
	_, read := r.cfg.places[route+".path"]
	return read || r.has(route) && !r.has(route+".path")
}

// hides reports whether a pattern matches whatever the other one matches. For
// regular expressions it knows only that they are the same.
func hides(first, later string) bool {
	return takesAll(first) || first == later || isPrefix(first) && isPrefix(later) && strings.HasPrefix(later, first)
}

func isPrefix(pattern string) bool { return strings.HasPrefix(pattern, "/") }

func takesAll(pattern string) bool { return pattern == "" || pattern == "/" }

// hidden reports that route i never gets a request because of route j.
func (r *reader) hidden(i, j int) {
	at, ok := r.cfg.places[fmt.Sprintf("route[%d].path", i)]
	if !ok {
		at = r.lines.place(r.keyAt[fmt.Sprintf("route[%d]", i)])
	}
	first, later := r.cfg.Routes[j].Path, r.cfg.Routes[i].Path
	switch {
	case takesAll(first):
		r.reportPlace(at, fmt.Sprintf("route %d can never match: route %d takes every request", i+1, j+1),
			fmt.Sprintf("move it before route %d", j+1))
	case first == later:
		r.reportPlace(at, fmt.Sprintf("route %d has the same path as route %d, which comes first", i+1, j+1), "remove one")
	default:
		r.reportPlace(at, fmt.Sprintf("route %d can never match: route %d takes every path below %s", i+1, j+1, quoted(first)),
			fmt.Sprintf("move it before route %d", j+1))
	}
}
