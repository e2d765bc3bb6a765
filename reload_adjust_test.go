package sluice

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/backend"
	"github.com/sluice-gateway/sluice/internal/testpeer"
)

// processesStayFor are the fields of a backend that can change without other
// processes. A new field is not among them until it is put in force by Adjust.
var processesStayFor = []string{
	"Params", "Root", "Queue.Max", "Queue.Timeout", "KeepIdle",
	"Timeout.Dial", "Timeout.FirstByte", "Timeout.Read", "Timeout.Write",
	"Processes.Min", "Processes.Max", "Processes.Scales", "Processes.Spare", "Processes.IdleTimeout",
}

func TestProcessesStayFor(t *testing.T) {
	forFPM := slices.DeleteFunc(slices.Clone(processesStayFor), func(name string) bool {
		return strings.HasPrefix(name, "Processes.") // it has read how many it is to start
	})
	tests := []struct {
		name string
		g    *rig
		want []string
	}{
		{"a command", start(t, oneApp(t, 1)), processesStayFor},
		{"somebody else's", start(t, toForeign(foreign(t, named("x")))), processesStayFor},
		{"php-fpm", startPHP(t, testpeer.Need(t, "php-fpm*", "php-fpm")), forFPM},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := tt.g.s.current.Load().cfg
			b, from := cfg.Backends[0], backend.Setting{Root: cfg.Root, Ours: []string{cfg.AccessLog}}
			var stay []string
			for _, name := range fieldsOf(reflect.TypeFor[config.Backend](), "") {
				edited := b
				change(field(&edited, name))
				if tt.g.backend(b.Name).CanBe(edited, from) {
					stay = append(stay, name)
				}
			}
			slices.Sort(stay)
			if want := slices.Sorted(slices.Values(tt.want)); !slices.Equal(stay, want) {
				t.Errorf("processes stay for %q, want %q", stay, want)
			}
		})
	}
}

// field returns a field of a backend by its name among fieldsOf.
func field(b *config.Backend, name string) reflect.Value {
	v := reflect.ValueOf(b).Elem()
	for part := range strings.SplitSeq(name, ".") {
		v = v.FieldByName(part)
	}
	return v
}

// change gives a field another value.
func change(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		v.Set(reflect.ValueOf([]string{"x"}))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"x": "x"}))
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	default:
		v.SetInt(v.Int() + 1)
	}
}

// What is put in force by a reload has the effect that it has from the start.
func TestEffectsOfReload(t *testing.T) {
	startsByReload = true
	defer func() { startsByReload = false }()
	for _, field := range processesStayFor {
		if field == "Processes.Min" || field == "Processes.Scales" {
			continue // theirs is that nothing is there at the start; see TestReloadChangesCounts
		}
		t.Run(field, effects["Backends."+field])
	}
}

// reloadInto makes the configuration of a rig another one, and wants the
// processes to stay.
func (g *rig) reloadInto(cfg *config.Config) {
	g.t.Helper()
	before := g.s.current.Load().backends
	if err := g.s.Reload(cfg); err != nil {
		g.t.Fatal(err)
	}
	for name, b := range g.s.current.Load().backends {
		if b != before[name] {
			g.t.Errorf("backend %q has been made anew", name)
		}
	}
}

func TestReloadChangesCounts(t *testing.T) {
	with := func(p config.Processes) *config.Config {
		cfg := oneApp(t, 1)
		cfg.Backends[0].Processes = p
		return cfg
	}
	g := start(t, with(config.Processes{Max: 2}))
	ready := func(n int) {
		t.Helper()
		await(t, strconv.Itoa(n)+" processes", func() bool { return len(g.backend("app").Status().Pool.Workers) == n })
	}
	ready(2)
	g.reloadInto(with(config.Processes{Max: 3}))
	ready(3)
	if n := g.count("process started"); n != 3 {
		t.Errorf("%d processes were started, want that the two stay", n)
	}
	g.reloadInto(with(config.Processes{Max: 1}))
	ready(1)
	g.reloadInto(with(config.Processes{Scales: true, Max: 2, IdleTimeout: 100 * time.Millisecond}))
	ready(0)
	release := g.hold()
	g.reloadInto(with(config.Processes{Scales: true, Min: 2, Max: 4, IdleTimeout: -1}))
	ready(2)
	g.reloadInto(with(config.Processes{Max: 1}))
	if _, err := release(); err != nil {
		t.Errorf("the request under way: %v", err)
	}
	ready(1)
}

// Other times are no reason for another php-fpm, which would have to compile all
// scripts anew; another number of its processes is.
func TestReloadKeepsFPM(t *testing.T) {
	g := startPHP(t, testpeer.Need(t, "php-fpm*", "php-fpm"))
	old := *g.s.current.Load().cfg
	with := func(edit func(*config.Backend)) *config.Config {
		cfg := old
		cfg.Backends = slices.Clone(old.Backends)
		edit(&cfg.Backends[0])
		return &cfg
	}
	g.reloadInto(with(func(b *config.Backend) { b.Timeout.Read, b.Queue.Max = time.Hour, 7 }))
	first := g.backend("php")
	if err := g.s.Reload(with(func(b *config.Backend) { b.Processes.Max = 2 })); err != nil {
		t.Fatal(err)
	}
	if g.backend("php") == first {
		t.Error("php-fpm goes on with as many processes as before")
	}
}

// A configuration that is refused changes nothing of the one that is in use.
func TestReloadThatFailsAdjustsNothing(t *testing.T) {
	g := start(t, oneApp(t, 1))
	cfg := oneApp(t, 1)
	cfg.Root = "/nonexistent"
	b := &cfg.Backends[0]
	b.Timeout.FirstByte, b.Queue.Max, b.Processes.Max = time.Second, 1, 2
	if err := g.s.Reload(cfg); err == nil {
		t.Fatal("no error")
	}
	g.reloadInto(oneApp(t, 1)) // or else the way back would be a change
	if lines := g.log.With("backend changed"); len(lines) > 0 {
		t.Errorf("the backend was changed: %q", lines)
	}
}
