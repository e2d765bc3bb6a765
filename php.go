package sluice

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/process"
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

// addPHP fills in how PHP is started. php-fpm is one process for us, which
// forks its own; php-cgi serves one request at a time.
func (r *recipe) addPHP(cfg config.Backend, root, dir string) (err error) {
	if r.php, err = choosePHP(cfg.PHP); err != nil {
		return err
	}
	if cfg.As.User != "" {
		r.account, err = lookup(cfg.As.User, user.Lookup, lookUID)
	} else {
		r.account, err = phpAccount(root)
	}
	if err != nil {
		return err
	}
	if r.php.FPM {
		return r.addFPM(cfg, dir)
	}
	r.perWorker = 1
	r.spec.Args = []string{r.php.Path}
	r.spec.Env = append(r.spec.Env, "PHP_FCGI_CHILDREN=0", "PHP_FCGI_MAX_REQUESTS=0")
	if r.spec.Credential == nil {
		r.spec.Credential, err = credential(r.account)
	}
	return err
}

func (r *recipe) addFPM(cfg config.Backend, dir string) error {
	switch {
	case r.spec.MaxMemory > 0:
		return errors.New("processes.max_memory is not for php-fpm, whose processes we do not see: take processes.max_requests, or a php-cgi")
	case cfg.Chroot != "":
		return errors.New("chroot is not for php-fpm, whose configuration is outside: take a php-cgi")
	}
	if c := r.spec.Credential; c != nil { // the group may be another one than the account's
		as := *r.account
		as.Gid = strconv.FormatUint(uint64(c.GID), 10)
		r.account = &as
	}
	r.perWorker = mostProcesses(cfg)
	r.file, r.content = filepath.Join(dir, "php-fpm.conf"), fpmConfig(cfg, r.account)
	r.spec.Args = []string{r.php.Path, "--nodaemonize", "--fpm-config", r.file}
	r.spec.Listen = process.AlsoOnDescriptor3
	r.spec.Env = slices.DeleteFunc(r.spec.Env, func(e string) bool { return strings.HasPrefix(e, "FPM_SOCKETS=") })
	r.spec.Env = append(r.spec.Env, "FPM_SOCKETS="+fpmListen+"=3")
	r.spec.StopSignal = fpmStop
	r.spec.Credential = nil // its master starts its processes as somebody else
	return nil
}

// fpmListen is what php-fpm calls the socket that it inherits (FPM_SOCKETS is how
// it hands its own to itself, when SIGUSR2 replaces its program). It removes the
// file of that name when it ends, and would make it if it did not find the
// variable; so this is a name that no file can have.
const fpmListen = "/dev/null/php-fpm"

// logPHP says what is started, and what will keep it from finding its scripts.
func (r *recipe) logPHP(cfg config.Backend, root string, log *slog.Logger) {
	as := "ourselves"
	if r.account != nil {
		as = r.account.Username
		if dir := closedTo(root, r.account); dir != "" {
			log.Error("php cannot come to the root: its scripts will not be found",
				slog.String("backend", cfg.Name), slog.String("root", root), slog.String("as", as), slog.String("closed", dir),
				slog.String("hint", "let "+as+" enter "+dir+" (chmod o+x), or move the root"))
		}
	}
	log.Info("starting php", slog.String("backend", cfg.Name), slog.String("program", r.php.Path), slog.Int("processes", mostProcesses(cfg)), slog.String("as", as))
}

// fpmConfig is the configuration of a php-fpm that we start. Its environment is
// the one that we gave it, and its processes' too.
func fpmConfig(cfg config.Backend, account *user.User) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[global]\ndaemonize = no\nerror_log = /proc/self/fd/2\n")
	// Without this, requests are not finished.
	fmt.Fprintf(&b, "process_control_timeout = %ds\n\n[sluice]\n", fpmSeconds(cfg.Stop.Timeout))
	if account != nil {
		fmt.Fprintf(&b, "user = %s\ngroup = %s\n", account.Uid, account.Gid)
	}
	fmt.Fprintf(&b, "listen = %s\n", fpmListen)
	b.WriteString(fpmProcesses(cfg))
	// The socket is not for a php-fpm that a script starts. "$" is the value of
	// the variable without a name: php-fpm refuses one that is empty.
	fmt.Fprintf(&b, "clear_env = no\nenv[FPM_SOCKETS] = $\ncatch_workers_output = yes\ndecorate_workers_output = no\n")
	return b.String()
}

// fpmProcesses is how many processes php-fpm has, and how long they serve.
func fpmProcesses(cfg config.Backend) string {
	var b strings.Builder
	p := cfg.Processes
	most, idle := mostProcesses(cfg), cmp.Or(p.IdleTimeout, defaultIdleProcess)
	switch {
	case !p.Scales || p.Min >= most:
		b.WriteString("pm = static\n")
	case p.Min == 0 && p.Spare == 0 && idle > 0:
		fmt.Fprintf(&b, "pm = ondemand\npm.process_idle_timeout = %ds\n", max(1, int(idle.Seconds())))
	default:
		begin := min(max(p.Min, p.Spare, 1), most)
		upTo := begin // more idle ones than that are ended, one a second
		if idle < 0 {
			upTo = most
		}
		fmt.Fprintf(&b, "pm = dynamic\npm.start_servers = %d\npm.min_spare_servers = %d\npm.max_spare_servers = %d\n",
			begin, min(max(p.Spare, 1), begin), upTo)
	}
	fmt.Fprintf(&b, "pm.max_children = %d\n", most)
	if p.MaxRequests > 0 {
		fmt.Fprintf(&b, "pm.max_requests = %d\n", p.MaxRequests)
	}
	if p.HungTimeout > 0 {
		fmt.Fprintf(&b, "request_terminate_timeout = %ds\n", max(1, int(p.HungTimeout.Seconds())))
	}
	return b.String()
}

// fpmSeconds is a time for php-fpm, a little less than how long we wait.
func fpmSeconds(d time.Duration) int {
	switch {
	case d == 0:
		d = process.DefaultStopTimeout
	case d < 0:
		d = 24 * time.Hour
	}
	return max(1, int(d.Seconds())-1)
}

// phpAccount says as whom PHP runs: nil for our own user. Root does not run
// other people's scripts as root: the owner of the files does, and if that is
// root too, the account that web servers have.
func phpAccount(root string) (*user.User, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
		return lookUID(uid)
	}
	for _, name := range []string{"www-data", "http", "apache", "nginx", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return u, nil
		}
	}
	return nil, fmt.Errorf("sluice: php would run as root: give %s to another user, or start sluice as one", root)
}

// closedTo returns the first folder on the way to root, and root itself, that
// an account may not enter by its mode; empty if there is none. php-fpm would
// only say "Primary script unknown".
func closedTo(root string, u *user.User) string {
	for at := 0; at <= len(root); at++ {
		if at < len(root) && root[at] != '/' {
			continue
		}
		dir := root[:max(at, 1)]
		info, err := os.Stat(dir)
		if err != nil {
			return dir
		}
		may := fs.FileMode(0o001)
		st := info.Sys().(*syscall.Stat_t)
		switch {
		case strconv.Itoa(int(st.Uid)) == u.Uid:
			may = 0o100
		case strconv.Itoa(int(st.Gid)) == u.Gid:
			may = 0o010
		}
		if info.Mode().Perm()&may == 0 {
			return dir
		}
	}
	return ""
}

// lookUID finds an account; an id without one is used as it is, with the same
// number as its group.
func lookUID(uid uint32) (*user.User, error) {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u, nil
	}
	return &user.User{Uid: id, Gid: id, Username: id}, nil
}

// credential turns an account into what package process wants.
func credential(u *user.User) (*process.Credential, error) {
	if u == nil {
		return nil, nil
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := cmp.Or(err1, err2); err != nil {
		return nil, err
	}
	return &process.Credential{UID: uint32(uid), GID: uint32(gid)}, nil
}

// fpmStop makes php-fpm finish its requests; its SIGTERM does not.
const fpmStop = syscall.SIGQUIT
