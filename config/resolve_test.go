package config

import (
	"reflect"
	"testing"
)

func TestResolve(t *testing.T) {
	cfg := &Config{
		Listen: []string{"unix:s.sock", "unix:/run/s.sock", "unix:@s", "localhost:80", "fd:3", "./s"},
		Root:   "public", AccessLog: "log/a",
		Backends: []Backend{
			{Name: "a", Connect: []string{"unix:a.sock", "[::1]:80"}, Root: "/srv//www/"},
			{Name: "b", Command: []string{"./b", "./arg"}},
			{Name: "c", Command: []string{"./c"}, Dir: "sub"},
			{Name: "d", Command: []string{"d"}, Dir: "/abs"},
			{Name: "e", PHP: "auto"},
			{Name: "f", PHP: "bin/php-fpm"},
		},
	}
	want := &Config{
		Listen: []string{"unix:/etc/s/s.sock", "unix:/run/s.sock", "unix:@s", "localhost:80", "fd:3", "unix:/etc/s/s"},
		Root:   "/etc/s/public", AccessLog: "/etc/s/log/a",
		Backends: []Backend{
			{Name: "a", Connect: []string{"unix:/etc/s/a.sock", "[::1]:80"}, Root: "/srv/www"},
			{Name: "b", Command: []string{"/etc/s/b", "./arg"}, Dir: "/etc/s"},
			{Name: "c", Command: []string{"/etc/s/sub/c"}, Dir: "/etc/s/sub"},
			{Name: "d", Command: []string{"d"}, Dir: "/abs"},
			{Name: "e", PHP: "auto", Dir: "/etc/s"},
			{Name: "f", PHP: "/etc/s/bin/php-fpm", Dir: "/etc/s"},
		},
	}
	for _, time := range []string{"once", "twice"} {
		if err := cfg.Resolve("/etc/s"); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(cfg, want) {
			t.Errorf("after Resolve %s: %+v, want %+v", time, cfg, want)
		}
	}
}

func TestResolveLeavesWordsAlone(t *testing.T) {
	for _, log := range []string{"", "-", "off"} {
		cfg := &Config{AccessLog: log}
		if err := cfg.Resolve("/etc/s"); err != nil || cfg.AccessLog != log || cfg.Root != "" {
			t.Errorf("after Resolve with access_log %q: %+v, %v", log, cfg, err)
		}
	}
}
