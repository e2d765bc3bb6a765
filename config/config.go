package config

import (
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A Config is one configuration. It is plain data; who has been handed one
// does not change it.
type Config struct {
	Listen       []string // addresses as internal/address reads them; none means 127.0.0.1:8080
	Root         string   // folder of the files; empty: no files are served
	Index        []string // names of the files that stand for a folder
	MaxBody      int64    // bytes of a request body
	AccessLog    string   // "-" (stdout), "off", or a file
	AccessFormat string   // "combined" or "json"
	Timeout      Timeout
	Backends     []Backend // in the order of the file
	Routes       []Route   // the first that matches counts

	file   string           // that Parse was told
	places map[string]place // where values stand in it, by their path
}

// A Timeout bounds what clients may keep us waiting for.
type Timeout struct {
	Header time.Duration // from the first byte of a request to the end of its head
	Body   time.Duration // for the next piece of a request body
	Write  time.Duration // until a piece of the response is taken
	Idle   time.Duration // between two requests of a connection
	Drain  time.Duration // for the requests under way when Sluice ends
}

// A Backend is a named application. Exactly one of Connect, Command and PHP
// says where it runs.
type Backend struct {
	Name      string
	Protocol  string            // "fastcgi", or empty for the default, the same
	Connect   []string          // addresses of workers that somebody else runs
	Command   []string          // command and arguments that Sluice starts
	PHP       string            // "auto" or the path of a php-fpm or php-cgi that Sluice starts
	Processes Processes         // that Sluice starts
	Dir       string            // where they start; empty: the folder of the file
	Env       map[string]string // of the processes, beside PATH, LANG, TZ and HOME
	CopyEnv   []string          // names of variables of ours that the processes see
	As        Account           // as whom they run
	Chroot    string            // what they have for the root of the file system
	Umask     string            // octal digits; empty: ours
	Nice      int               // added to our priority
	Limits    map[string]string // of resources: name to "SOFT" or "SOFT:HARD"

	// NoNewPrivileges: no program that they start gets more rights than they
	// have, by set-user-id for example.
	NoNewPrivileges bool

	Watch []string // files and folders: when they change, the processes are replaced

	Params    map[string]string // sent with each request
	Root      string            // Config.Root as the application sees it; empty: the same
	MaxLoad   int               // requests that one worker serves at the same time
	Queue     Queue
	Timeout   BackendTimeout
	KeepIdle  int // unused connections kept for one worker; negative: none
	Multiplex int // requests on one connection at the same time; zero or one: each has its own
	Stop      Stop
}

// Processes says how many processes a backend has, and how long each serves.
type Processes struct {
	Min, Max    int
	Scales      bool          // Min was given: there are as many as are needed, from Min to Max
	Spare       int           // without anything to do, besides those that have
	IdleTimeout time.Duration // until one that is not needed ends

	// What ends a process, after another has taken its place.
	MaxRequests int
	MaxAge      time.Duration
	MaxMemory   int64 // bytes that are resident

	HungTimeout  time.Duration // without the end of a request, until a process is taken for hung
	StartTimeout time.Duration // until it takes requests
}

// An Account is who processes run as. Empty means as ourselves; without a group
// that of the user.
type Account struct {
	User, Group string
}

// A Queue is where requests wait for a worker.
type Queue struct {
	Max     int
	Timeout time.Duration
}

// A BackendTimeout bounds what an application may keep us waiting for.
type BackendTimeout struct {
	Dial      time.Duration // until there is a connection
	FirstByte time.Duration // from the request to the first byte of the answer
	Read      time.Duration // between two pieces of the answer
	Write     time.Duration // for one piece of the request
}

// A Stop says how a process is ended: by Signal, and by SIGKILL after Timeout.
type Stop struct {
	Signal  syscall.Signal
	Timeout time.Duration
}

// A Route says what becomes of some of the requests. Exactly one of Backend,
// Deny and Files says what.
type Route struct {
	// Path is "*.ext", "/prefix/" (for "/prefix" too), "~regexp", or "" for
	// everything.
	Path string

	Backend    string // the name of one; empty with Deny and Files
	Deny       bool   // answer 403
	Files      bool   // serve a file of Config.Root, whatever later routes say
	CheckLocal *bool  // nil: as ChecksLocal says
	MaxBody    int64  // zero: as Config.MaxBody
	Fallback   string // path of the script for requests that no file is there for
}

// ChecksLocal reports whether the script of a request must be a file below
// Config.Root, if there is one. Unless the route says so itself, that is asked
// for "*.ext": a script that is not there is then a 404, and the application
// is not asked.
func (r Route) ChecksLocal() bool {
	if r.CheckLocal != nil {
		return *r.CheckLocal
	}
	return strings.HasPrefix(r.Path, "*")
}

// Equal reports whether two backends have the same settings, so that a
// running one can go on under a new configuration.
func (b Backend) Equal(o Backend) bool {
	return b.Name == o.Name &&
		b.Protocol == o.Protocol &&
		slices.Equal(b.Connect, o.Connect) &&
		slices.Equal(b.Command, o.Command) &&
		b.PHP == o.PHP &&
		b.Processes == o.Processes &&
		b.Dir == o.Dir &&
		maps.Equal(b.Env, o.Env) &&
		slices.Equal(b.CopyEnv, o.CopyEnv) &&
		b.As == o.As &&
		b.Chroot == o.Chroot &&
		b.Umask == o.Umask &&
		b.Nice == o.Nice &&
		maps.Equal(b.Limits, o.Limits) &&
		b.NoNewPrivileges == o.NoNewPrivileges &&
		slices.Equal(b.Watch, o.Watch) &&
		maps.Equal(b.Params, o.Params) &&
		b.Root == o.Root &&
		b.MaxLoad == o.MaxLoad &&
		b.Queue == o.Queue &&
		b.Timeout == o.Timeout &&
		b.KeepIdle == o.KeepIdle &&
		b.Multiplex == o.Multiplex &&
		b.Stop == o.Stop
}
