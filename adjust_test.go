package sluice

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/testpeer"
)

// processesStayFor are the fields of a backend that can change without other
// processes. A new field is not among them until it is put in force by adjust.
var processesStayFor = []string{
	"Params", "Root", "Queue.Max", "Queue.Timeout", "KeepIdle",
	"Timeout.Dial", "Timeout.FirstByte", "Timeout.Read", "Timeout.Write",
	"Processes.Min", "Processes.Max", "Processes.Scales", "Processes.Spare", "Processes.IdleTimeout",
}

func TestProcessesStayFor(t *testing.T) {
	for _, fpm := range []bool{false, true} {
		var stay []string
		for _, name := range fieldsOf(reflect.TypeFor[config.Backend](), "") {
			var b config.Backend
			v := reflect.ValueOf(&b).Elem()
			for part := range strings.SplitSeq(name, ".") {
				v = v.FieldByName(part)
			}
			switch v.Kind() {
			case reflect.Slice:
				v.Set(reflect.ValueOf([]string{"x"}))
			case reflect.Map:
				v.Set(reflect.ValueOf(map[string]string{"x": "x"}))
			case reflect.String:
				v.SetString("x")
			case reflect.Bool:
				v.SetBool(true)
			default:
				v.SetInt(1)
			}
			if startedWith(b, fpm).Equal(startedWith(config.Backend{}, fpm)) {
				stay = append(stay, name)
			}
		}
		want := slices.Clone(processesStayFor)
		if fpm { // it has read how many it is to start
			want = slices.DeleteFunc(want, func(name string) bool { return strings.HasPrefix(name, "Processes.") })
		}
		slices.Sort(stay)
		if slices.Sort(want); !slices.Equal(stay, want) {
			t.Errorf("php-fpm %v: processes stay for %q, want %q", fpm, stay, want)
		}
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
		await(t, strconv.Itoa(n)+" processes", func() bool { return len(g.s.current.Load().backends["app"].pool.Status().Workers) == n })
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
	first := g.s.current.Load().backends["php"]
	if err := g.s.Reload(with(func(b *config.Backend) { b.Processes.Max = 2 })); err != nil {
		t.Fatal(err)
	}
	if g.s.current.Load().backends["php"] == first {
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
	if is, want := g.s.current.Load().backends["app"].cfg, oneApp(t, 1).Backends[0]; !is.Equal(want) {
		t.Errorf("the backend has become %+v", is)
	}
}
