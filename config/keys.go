package config

import (
	"fmt"
	"syscall"
	"time"
)

// The tables of all keys. doc/sluice.toml.md has a paragraph for each, and a
// test compares them. They are functions because what reads a section looks
// keys up in all of them.

func configKeys() []key[Config] {
	return []key[Config]{
		{"listen", texts(func(c *Config) *[]string { return &c.Listen }, `["127.0.0.1:8080"]`, maxListen, listener)},
		{"root", text(func(c *Config) *string { return &c.Root }, filePath)},
		{"index", texts(func(c *Config) *[]string { return &c.Index }, `["index.html"]`, maxCount, fileName)},
		{"max_body", size(func(c *Config) *int64 { return &c.MaxBody })},
		{"access_log", text(func(c *Config) *string { return &c.AccessLog }, accessLog)},
		{"access_format", text(func(c *Config) *string { return &c.AccessFormat }, oneOf("combined", "json"))},
		{"timeout.header", duration(func(c *Config) *time.Duration { return &c.Timeout.Header })},
		{"timeout.body", duration(func(c *Config) *time.Duration { return &c.Timeout.Body })},
		{"timeout.write", duration(func(c *Config) *time.Duration { return &c.Timeout.Write })},
		{"timeout.idle", duration(func(c *Config) *time.Duration { return &c.Timeout.Idle })},
		{"timeout.drain", duration(func(c *Config) *time.Duration { return &c.Timeout.Drain })},
		{"backend", readBackends},
		{"route", readRoutes},
	}
}

func backendKeys() []key[Backend] {
	return []key[Backend]{
		{"protocol", text(func(b *Backend) *string { return &b.Protocol }, oneOf("fastcgi"))},
		{"connect", texts(func(b *Backend) *[]string { return &b.Connect }, `["unix:/run/app.sock"]`, maxWorkers, worker)},
		{"command", texts(func(b *Backend) *[]string { return &b.Command }, `["./app", "-v"]`, maxCount, argument)},
		{"php", text(func(b *Backend) *string { return &b.PHP }, phpProgram)},
		{"processes.min", least(func(b *Backend) *int { return &b.Processes.Min }, maxProcesses)},
		{"processes.max", count(func(b *Backend) *int { return &b.Processes.Max }, maxProcesses, false)},
		{"processes.spare", least(func(b *Backend) *int { return &b.Processes.Spare }, maxProcesses)},
		{"processes.idle_timeout", duration(func(b *Backend) *time.Duration { return &b.Processes.IdleTimeout })},
		{"processes.max_requests", count(func(b *Backend) *int { return &b.Processes.MaxRequests }, maxRequests, true)},
		{"processes.max_age", duration(func(b *Backend) *time.Duration { return &b.Processes.MaxAge })},
		{"processes.max_memory", size(func(b *Backend) *int64 { return &b.Processes.MaxMemory })},
		{"processes.hung_timeout", duration(func(b *Backend) *time.Duration { return &b.Processes.HungTimeout })},
		{"processes.start_timeout", duration(func(b *Backend) *time.Duration { return &b.Processes.StartTimeout })},
		{"dir", text(func(b *Backend) *string { return &b.Dir }, filePath)},
		{"env", pairs(func(b *Backend) *map[string]string { return &b.Env }, variable, argument)},
		{"copy_env", texts(func(b *Backend) *[]string { return &b.CopyEnv }, `["PYTHONPATH"]`, maxCount, variable)},
		{"user", text(func(b *Backend) *string { return &b.As.User }, account)},
		{"group", text(func(b *Backend) *string { return &b.As.Group }, account)},
		{"chroot", text(func(b *Backend) *string { return &b.Chroot }, filePath)},
		{"umask", text(func(b *Backend) *string { return &b.Umask }, umask)},
		{"nice", priority(func(b *Backend) *int { return &b.Nice })},
		{"limits", pairs(func(b *Backend) *map[string]string { return &b.Limits }, limitName, limit)},
		{"no_new_privileges", flag(func(b *Backend, on bool) { b.NoNewPrivileges = on })},
		{"watch", texts(func(b *Backend) *[]string { return &b.Watch }, `["app.py", "lib"]`, maxCount, filePath)},
		{"params", pairs(func(b *Backend) *map[string]string { return &b.Params }, param, argument)},
		{"root", text(func(b *Backend) *string { return &b.Root }, remoteRoot)},
		{"max_load", count(func(b *Backend) *int { return &b.MaxLoad }, maxCount, true)},
		{"queue.max", count(func(b *Backend) *int { return &b.Queue.Max }, maxCount, true)},
		{"queue.timeout", duration(func(b *Backend) *time.Duration { return &b.Queue.Timeout })},
		{"timeout.dial", duration(func(b *Backend) *time.Duration { return &b.Timeout.Dial })},
		{"timeout.first_byte", duration(func(b *Backend) *time.Duration { return &b.Timeout.FirstByte })},
		{"timeout.read", duration(func(b *Backend) *time.Duration { return &b.Timeout.Read })},
		{"timeout.write", duration(func(b *Backend) *time.Duration { return &b.Timeout.Write })},
		{"keep_idle", count(func(b *Backend) *int { return &b.KeepIdle }, maxCount, true)},
		{"multiplex", count(func(b *Backend) *int { return &b.Multiplex }, maxMultiplex, false)},
		{"stop.signal", signal(func(b *Backend) *syscall.Signal { return &b.Stop.Signal })},
		{"stop.timeout", duration(func(b *Backend) *time.Duration { return &b.Stop.Timeout })},
	}
}

func routeKeys() []key[Route] {
	return []key[Route]{
		{"path", text(func(r *Route) *string { return &r.Path }, pattern)},
		{"backend", text(func(r *Route) *string { return &r.Backend }, backendName)},
		{"deny", flag(func(r *Route, on bool) { r.Deny = on })},
		{"files", flag(func(r *Route, on bool) { r.Files = on })},
		{"check_local", flag(func(r *Route, on bool) { r.CheckLocal = &on })},
		{"max_body", size(func(r *Route) *int64 { return &r.MaxBody })},
		{"fallback", text(func(r *Route) *string { return &r.Fallback }, scriptPath)},
	}
}

// readBackends reads the tables [backend.NAME].
func readBackends(s spot, c *Config) {
	if s.kind == anArray && s.from == headed {
		s.wrong(" is an array of tables", "write [backend.NAME]")
		return
	}
	if !s.is(aTable, "write [backend.NAME]") {
		return
	}
	for _, f := range s.fields {
		if wrong, hint := backendName(f.name); wrong != "" {
			s.report(f.at, "backend"+wrong, hint)
			continue
		}
		if f.value.kind != aTable {
			s.report(f.at, fmt.Sprintf("backend %q is %s, want a table", f.name, f.value.kind), "give the backend a name: write [backend.NAME]")
			continue
		}
		if len(c.Backends) == maxBackends {
			s.report(f.at, fmt.Sprintf("there are more than %d backends", maxBackends), "take several gateways")
			return
		}
		b := Backend{Name: f.name}
		sec := section{s.path + "." + f.name + ".", fmt.Sprintf(" in backend %q", f.name)}
		s.keyAt[s.path+"."+f.name] = f.at
		readTable(s.reader, sec, "", f.value, backendKeys(), &b)
		c.Backends = append(c.Backends, b)
	}
}

// readRoutes reads the tables [[route]].
func readRoutes(s spot, c *Config) {
	if s.kind == aTable && s.from != enclosed {
		s.wrong(" is a table, want an array of tables", "write [[route]]")
		return
	}
	if !s.is(anArray, "write [[route]]") {
		return
	}
	for i, v := range s.list {
		e := spot{s.reader, v, fmt.Sprintf("route[%d]", i), fmt.Sprintf("route %d", i+1)}
		if i == maxRoutes {
			e.report(v.at, fmt.Sprintf("there are more than %d routes", maxRoutes), "put several prefixes into one regular expression")
			return
		}
		var route Route
		if e.is(aTable, "write [[route]]") {
			e.keyAt[e.path] = v.at
			readTable(s.reader, section{e.path + ".", " in " + e.name}, "", v, routeKeys(), &route)
		}
		c.Routes = append(c.Routes, route)
	}
}
