package recipe

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A PHP is an interpreter that speaks FastCGI.
type PHP struct {
	Path string // of the program
	FPM  bool   // php-fpm, which forks its own processes; else php-cgi
}

// phpDirs are looked at after PATH: distributions keep php-fpm where the PATH
// of a user does not lead.
var phpDirs = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"}

// FindPHP looks for php-fpm, and then for php-cgi, in PATH and where systems
// install them. Of several versions the newest is taken.
func FindPHP(path string) (PHP, bool) {
	dirs := append(filepath.SplitList(path), phpDirs...)
	for _, name := range []string{"php-fpm", "php-cgi"} {
		if found := newest(dirs, name); found != "" {
			return PHP{Path: found, FPM: name == "php-fpm"}, true
		}
	}
	return PHP{}, false
}

var phpVersion = regexp.MustCompile(`^(\d+)(?:\.(\d+))?$`)

// newest returns the program called name, or name with the highest version
// behind it ("php-fpm8.2").
func newest(dirs []string, name string) string {
	type candidate struct {
		path         string
		major, minor int
	}
	var found []candidate
	for _, dir := range dirs {
		entries, _ := filepath.Glob(filepath.Join(dir, name+"*"))
		for _, e := range entries {
			if _, err := exec.LookPath(e); err != nil {
				continue
			}
			version := strings.TrimPrefix(filepath.Base(e), name)
			if version == "" {
				return e
			}
			if m := phpVersion.FindStringSubmatch(version); m != nil {
				major, _ := strconv.Atoi(m[1])
				minor, _ := strconv.Atoi(m[2])
				found = append(found, candidate{e, major, minor})
			}
		}
	}
	if len(found) == 0 {
		return ""
	}
	best := slices.MaxFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.major, b.major), cmp.Compare(a.minor, b.minor))
	})
	return best.path
}

// choosePHP finds the PHP that a configuration names: "auto" or a program.
func choosePHP(name string) (PHP, error) {
	if name == "auto" {
		php, ok := FindPHP(os.Getenv("PATH"))
		if !ok {
			return PHP{}, errors.New("neither php-fpm nor php-cgi is installed: install one (Debian: apt install php-fpm), or name it with php = \"/path\"")
		}
		return php, nil
	}
	return PHP{Path: name, FPM: strings.HasPrefix(filepath.Base(name), "php-fpm")}, nil
}

// addPHP fills in how PHP is started: php-cgi serves one request at a time,
// php-fpm as many as it has processes.
func (r *Recipe) addPHP(dir string) (err error) {
	if r.php, err = choosePHP(r.cfg.PHP); err != nil {
		return err
	}
	if r.cfg.As.User != "" {
		r.account, err = accountOf(r.cfg.As)
	} else {
		r.account, err = phpAccount(r.root)
	}
	if err != nil {
		return err
	}
	if r.FPM() {
		return r.addFPM(dir)
	}
	r.MaxLoad = cmp.Or(r.MaxLoad, 1)
	r.Spec.Args = []string{r.php.Path}
	r.Spec.Env = append(r.Spec.Env, "PHP_FCGI_CHILDREN=0", "PHP_FCGI_MAX_REQUESTS=0")
	if r.Spec.Credential == nil {
		r.Spec.Credential, err = credential(r.account)
	}
	return err
}
