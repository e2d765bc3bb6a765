package recipe

import (
	"cmp"
	"errors"
	"fmt"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/process"
)

// FPM reports whether it is a php-fpm: one process for us, which forks others and
// looks after them.
func (r *Recipe) FPM() bool { return r.php.FPM }

// addFPM fills in how php-fpm is started; its configuration goes to dir.
func (r *Recipe) addFPM(dir string) error {
	switch {
	case r.Spec.MaxMemory > 0:
		return errors.New("processes.max_memory is not for php-fpm, whose processes we do not see: take processes.max_requests, or a php-cgi")
	case r.cfg.Chroot != "":
		return errors.New("chroot is not for php-fpm, whose configuration is outside: take a php-cgi")
	}
	if _, given := r.cfg.Env[fpmSockets]; given {
		return errors.New("env." + fpmSockets + " is how php-fpm is told of its socket, and is set by Sluice: take it away")
	}
	r.MaxLoad = cmp.Or(r.MaxLoad, mostProcesses(r.cfg))
	r.MaxRequests, r.HungTimeout = 0, 0 // it sees to that itself
	r.file, r.content = filepath.Join(dir, "php-fpm.conf"), fpmConfig(r.cfg, r.account)
	r.Spec.Args = []string{r.php.Path, "--nodaemonize", "--fpm-config", r.file}
	r.Spec.Listen = process.AlsoOnDescriptor3
	r.Spec.Env = slices.DeleteFunc(r.Spec.Env, func(e string) bool { return strings.HasPrefix(e, fpmSockets+"=") })
	r.Spec.Env = append(r.Spec.Env, fpmSockets+"="+fpmListen+"=3")
	r.Spec.StopSignal = fpmStop
	r.Spec.Credential = nil // its master starts its processes as somebody else
	return nil
}

// fpmSockets is the variable with the names and descriptors of sockets that a
// php-fpm inherits.
const fpmSockets = "FPM_SOCKETS"

// fpmListen is what php-fpm calls the socket that it inherits (FPM_SOCKETS is how
// it hands its own to itself, when SIGUSR2 replaces its program). It removes the
// file of that name when it ends, and would make it if it did not find the
// variable; so this is a name that no file can have.
const fpmListen = "/dev/null/php-fpm"

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
	most, idle := mostProcesses(cfg), cmp.Or(p.IdleTimeout, defaultIdle)
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

// fpmStop makes php-fpm finish its requests; its SIGTERM does not.
const fpmStop = syscall.SIGQUIT
