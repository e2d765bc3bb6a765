package spawn

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/process"
)

// letThrough are the variables that go from our environment to the
// application's, as lighttpd's spawn-php.sh has it, besides PATH and its like.
var letThrough = []string{"PHP_FCGI_CHILDREN", "PHP_FCGI_MAX_REQUESTS", "FCGI_WEB_SERVER_ADDRS"}

func (f *flags) planEnv(p *plan) error {
	extra, err := f.extraEnv(os.LookupEnv, p.home)
	p.env = process.CleanEnv(extra...)
	return err
}

// extraEnv returns the environment but for PATH, LANG, TZ and HOME. Later ones
// win. home, if it is known, is the folder of the user who the processes run
// as: ours may be root's.
func (f *flags) extraEnv(lookup func(string) (string, bool), home string) (env []string, err error) {
	if home != "" {
		env = append(env, "HOME="+home)
	}
	allowed, _ := lookup("ALLOWED_ENV")
	for _, name := range append(append(strings.Fields(allowed), letThrough...), f.copyEnv...) {
		if strings.ContainsAny(name, "=\x00") || name == "" {
			return nil, fmt.Errorf("--copy-env, or ALLOWED_ENV, has %q: want the name of a variable", name)
		}
		if value, ok := lookup(name); ok {
			env = append(env, name+"="+value)
		}
	}
	if f.given("php-children") {
		env = append(env, "PHP_FCGI_CHILDREN="+strconv.Itoa(f.phpChildren))
	}
	for _, e := range f.env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return nil, fmt.Errorf("--env %s: want NAME=VALUE", e)
		}
		env = append(env, e)
	}
	return env, nil
}
