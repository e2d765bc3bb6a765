package sluice

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
)

// effects has a test for each field of a configuration: of what a client, the
// application or the operator sees of it. Packages are tested with their own
// fields; here it is whether the configuration gets there.
var effects = map[string]func(*testing.T){
	"Listen":         effectListen,
	"Root":           effectRoot,
	"Index":          effectIndex,
	"MaxBody":        effectMaxBody,
	"AccessLog":      effectAccessLog,
	"AccessFormat":   effectAccessFormat,
	"Timeout.Header": effectTimeoutHeader,
	"Timeout.Body":   effectTimeoutBody,
	"Timeout.Write":  effectTimeoutWrite,
	"Timeout.Idle":   effectTimeoutIdle,
	"Timeout.Drain":  effectTimeoutDrain,

	"Backends.Name":                   effectName,
	"Backends.Protocol":               effectProtocol,
	"Backends.Connect":                effectConnect,
	"Backends.Command":                effectCommand,
	"Backends.PHP":                    effectPHP,
	"Backends.Processes.Min":          effectMin,
	"Backends.Processes.Max":          effectProcesses,
	"Backends.Processes.Scales":       effectMin,
	"Backends.Processes.Spare":        effectSpare,
	"Backends.Processes.IdleTimeout":  effectIdleTimeout,
	"Backends.Processes.MaxRequests":  effectMaxRequests,
	"Backends.Processes.MaxAge":       effectMaxAge,
	"Backends.Processes.MaxMemory":    effectMaxMemory,
	"Backends.Processes.HungTimeout":  effectHungTimeout,
	"Backends.Processes.StartTimeout": effectStartTimeout,
	"Backends.Dir":                    effectDir,
	"Backends.Env":                    effectEnv,
	"Backends.CopyEnv":                effectCopyEnv,
	"Backends.As.User":                effectUser,
	"Backends.As.Group":               effectGroup,
	"Backends.Chroot":                 effectChroot,
	"Backends.Umask":                  effectUmask,
	"Backends.Nice":                   effectNice,
	"Backends.Limits":                 effectLimits,
	"Backends.NoNewPrivileges":        effectNoNewPrivileges,
	"Backends.Watch":                  effectWatch,
	"Backends.Params":                 effectParams,
	"Backends.Root":                   effectBackendRoot,
	"Backends.MaxLoad":                effectMaxLoad,
	"Backends.Queue.Max":              effectQueueMax,
	"Backends.Queue.Timeout":          effectQueueTimeout,
	"Backends.Timeout.Dial":           effectTimeoutDial,
	"Backends.Timeout.FirstByte":      effectTimeoutFirstByte,
	"Backends.Timeout.Read":           effectTimeoutRead,
	"Backends.Timeout.Write":          effectBackendTimeoutWrite,
	"Backends.KeepIdle":               effectKeepIdle,
	"Backends.Multiplex":              effectMultiplex,
	"Backends.Stop.Signal":            effectStopSignal,
	"Backends.Stop.Timeout":           effectStopTimeout,

	"Routes.Path":       effectRoutes,
	"Routes.Backend":    effectRoutes,
	"Routes.Deny":       effectDeny,
	"Routes.Files":      effectFiles,
	"Routes.CheckLocal": effectCheckLocal,
	"Routes.MaxBody":    effectRouteMaxBody,
	"Routes.Fallback":   effectFallback,
}

func TestEffects(t *testing.T) {
	for _, field := range slices.Sorted(maps.Keys(effects)) {
		t.Run(field, effects[field])
	}
}

// A new field without an effect is one that nobody has wired.
func TestEveryFieldHasAnEffect(t *testing.T) {
	fields := fieldsOf(reflect.TypeFor[config.Config](), "")
	for _, f := range fields {
		if effects[f] == nil {
			t.Errorf("effects has no test for %s", f)
		}
	}
	for f := range effects {
		if !slices.Contains(fields, f) {
			t.Errorf("effects tests %s, which is not a field", f)
		}
	}
}

// fieldsOf returns the exported fields of a struct, and in place of structs and
// lists of them what they hold.
func fieldsOf(in reflect.Type, prefix string) (list []string) {
	for f := range in.Fields() {
		of := f.Type
		if of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		switch {
		case !f.IsExported():
		case of.Kind() == reflect.Struct:
			list = append(list, fieldsOf(of, prefix+f.Name+".")...)
		default:
			list = append(list, prefix+f.Name)
		}
	}
	return list
}

// startEdited runs a Server with one process of the application and an edited
// configuration.
func startEdited(t *testing.T, edit func(*config.Config)) *rig {
	t.Helper()
	cfg := oneApp(t, 1)
	edit(cfg)
	return start(t, cfg)
}

// withRoot gives a configuration a root with some files.
func withRoot(t *testing.T, cfg *config.Config, files ...string) {
	t.Helper()
	cfg.Root = t.TempDir()
	for _, name := range files {
		file := filepath.Join(cfg.Root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		write(t, cfg.Root, name, "file "+name)
	}
}

// wants sends a request whose status is known, and returns what came.
func (g *rig) wants(want int, method, path, body string) string {
	g.t.Helper()
	status, content, err := g.try(method, path, body)
	if status != want || err != nil {
		g.t.Errorf("%s %s with %d bytes: %d %q, %v, want %d\n%s", method, path, len(body), status, content, err, want, g.log)
	}
	return content
}

// contains wants a line in what came of a GET.
func (g *rig) contains(path, line string) {
	g.t.Helper()
	if got := g.get(path); !slices.Contains(strings.Split(got, "\n"), line) {
		g.t.Errorf("GET %s: no line %q in\n%s", path, line, got)
	}
}

// A reply is what came of a request that was sent in the background.
type reply struct {
	status     int
	retryAfter string
	err        error
}

// ask sends a GET in the background.
func (g *rig) ask(path string) <-chan reply {
	came := make(chan reply, 1)
	go func() { // until the answer is there, or the client's time is over
		resp, err := g.client.Get(URL(g.s.Addrs()[0]) + path[1:])
		if err != nil {
			came <- reply{err: err}
			return
		}
		defer resp.Body.Close()
		came <- reply{status: resp.StatusCode, retryAfter: resp.Header.Get("Retry-After")}
	}()
	return came
}

// busy wants the reply of a gateway whose workers have too much to do.
func (r reply) busy(t *testing.T) {
	t.Helper()
	if r.err != nil || r.status != http.StatusServiceUnavailable || r.retryAfter == "" {
		t.Errorf("%v, want 503 with Retry-After", r)
	}
}

func (r reply) String() string {
	return fmt.Sprintf("status %d, Retry-After %q, error %v", r.status, r.retryAfter, r.err)
}
