package config

import "fmt"

// ofProcesses are the keys, or tables of keys, that say how Sluice runs an
// application.
var ofProcesses = []string{
	"processes.min", "processes.max", "processes.spare", "processes.idle_timeout", "processes.max_requests", "processes.max_age",
	"processes.max_memory", "processes.hung_timeout", "processes.start_timeout", "dir", "env", "copy_env", "user", "group", "chroot", "umask", "nice",
	"limits", "no_new_privileges", "watch", "stop.signal", "stop.timeout",
}

// relateBackend compares the keys of a backend.
func (r *reader) relateBackend(b *Backend, broken bool) {
	path, what := "backend."+b.Name+".", fmt.Sprintf("backend %q", b.Name)
	given := r.exclusive(path, what, []string{"connect", "command", "php"})
	r.sameAddresses(path+"connect", "connect in "+what, b.Connect)
	switch {
	case broken:
		return
	case len(given) == 0:
		r.report(r.keyAt["backend."+b.Name], what+" does not say where the application is", "give it connect, command or php")
	case len(given) == 1 && given[0] == "connect":
		r.notOurs(path, what)
	case len(given) == 1 && given[0] == "php" && !r.has("root"):
		r.report(r.keyAt[path+"php"], "php in "+what+" has no scripts to run without root", "give root at the top of the file")
	}
	if at, ok := r.keyAt[path+"watch"]; ok && len(given) == 1 && given[0] == "php" {
		r.report(at, "watch in "+what+" has no effect: PHP reads its scripts anew for each request", "remove it")
	}
	r.relateProcesses(path, what, b)
	if len(b.Command) > 0 && b.Command[0] == "" {
		r.reportPlace(r.cfg.places[path+"command[0]"], "command in "+what+" begins with an empty string", "write the program first")
	}
}

// relateProcesses compares what is said of the number of processes.
func (r *reader) relateProcesses(path, what string, b *Backend) {
	p := &b.Processes
	p.Scales = r.has(path + "processes.min")
	if p.Scales && p.Max > 0 && p.Min > p.Max {
		r.report(r.keyAt[path+"processes.min"], fmt.Sprintf("processes.min in %s is %d, and processes.max is %d", what, p.Min, p.Max), "raise max, or lower min")
	}
	for _, k := range []string{"processes.spare", "processes.idle_timeout"} {
		if at, ok := r.keyAt[path+k]; ok && !p.Scales {
			r.report(at, fmt.Sprintf("%s in %s has no effect: there are always as many processes as processes.max says", k, what), "give processes.min, too")
		}
	}
	if at, ok := r.keyAt[path+"group"]; ok && b.As.User == "" {
		r.report(at, "group in "+what+" has no user to go with", "give user, too")
	}
}

// notOurs complains about keys that would change how Sluice starts a program,
// in a backend that it only connects to.
func (r *reader) notOurs(path, what string) {
	for _, k := range ofProcesses {
		if at, ok := r.keyAt[path+k]; ok {
			r.report(at, fmt.Sprintf("%s in %s has no effect: Sluice does not start what it connects to", k, what),
				"remove it, or replace connect by command")
		}
	}
}

// backendNamed complains if there is no backend of the name that a route
// gives. Sections that could not be read as backends are none to complain
// about again.
func (r *reader) backendNamed(i int) {
	name := r.cfg.Routes[i].Backend
	misread := len(r.cfg.Backends) == 0 && r.has("backend")
	if name == "" || misread || r.has("backend."+name) {
		return
	}
	var known []string
	for _, b := range r.cfg.Backends {
		known = append(known, b.Name)
	}
	hint := fmt.Sprintf("add [backend.%s]", name)
	if meant := nearest(name, known); meant != "" {
		hint = didYouMean(meant)
	} else if len(known) == 1 {
		hint = "the only one is " + quoted(known[0])
	}
	r.reportPlace(r.cfg.places[fmt.Sprintf("route[%d].backend", i)],
		fmt.Sprintf("backend in route %d is %s, and there is no such backend", i+1, quoted(name)), hint)
}

// unusedBackends complains about backends that no route uses. If it is not
// known which backend a route means, that has been said.
func (r *reader) unusedBackends() {
	used := make(map[string]bool)
	for i, route := range r.cfg.Routes {
		if r.has(fmt.Sprintf("route[%d].backend", i)) && !r.has("backend."+route.Backend) {
			return
		}
		used[route.Backend] = true
	}
	if len(r.cfg.Routes) == 0 && r.has("route") {
		return
	}
	for _, b := range r.cfg.Backends {
		if !used[b.Name] {
			r.report(r.keyAt["backend."+b.Name], fmt.Sprintf("no route uses backend %q", b.Name),
				fmt.Sprintf("add a [[route]] with backend = %q", b.Name))
		}
	}
}
