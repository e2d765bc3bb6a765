package spawn

import (
	"strings"
	"testing"
)

func TestEnv(t *testing.T) {
	ours := map[string]string{
		"ALLOWED_ENV": "ORACLE_HOME  USER MISSING", "ORACLE_HOME": "/o", "USER": "u", "SECRET": "s", "RAILS_ENV": "test",
		"PHP_FCGI_CHILDREN": "3", "PHP_FCGI_MAX_REQUESTS": "9", "FCGI_WEB_SERVER_ADDRS": "127.0.0.1",
	}
	lookup := func(name string) (string, bool) { v, ok := ours[name]; return v, ok }
	given := func(names ...string) func(string) bool {
		return func(name string) bool { return strings.Contains(strings.Join(names, " "), name) }
	}
	f := &flags{given: given(), copyEnv: []string{"RAILS_ENV"}, env: []string{"USER=other", "A=b=c"}}
	got, err := f.extraEnv(lookup, "/home/u")
	want := "HOME=/home/u ORACLE_HOME=/o USER=u PHP_FCGI_CHILDREN=3 PHP_FCGI_MAX_REQUESTS=9 FCGI_WEB_SERVER_ADDRS=127.0.0.1 RAILS_ENV=test USER=other A=b=c"
	if err != nil || strings.Join(got, " ") != want {
		t.Errorf("environment %q, %v, want %q", got, err, want)
	}
	f = &flags{given: given("php-children"), phpChildren: 0}
	got, err = f.extraEnv(lookup, "")
	if err != nil || got[len(got)-1] != "PHP_FCGI_CHILDREN=0" {
		t.Errorf("-C 0 gives %q, %v, want PHP_FCGI_CHILDREN=0 at the end", got, err)
	}
}
