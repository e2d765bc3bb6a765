package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/process"
	"golang.org/x/sys/unix"
)

const (
	// defaultStart is how long a process may take to accept a connection. Large
	// Perl and Python programs load for seconds; and one that starts while all
	// are busy may have to serve others first, so it is not killed then.
	defaultStart = 10 * time.Second

	// defaultStop is from the signal that asks a process to end to SIGKILL.
	defaultStop = 10 * time.Second

	// defaultHealthy is multiwatch's: who lives longer has not died in a row.
	defaultHealthy = 10 * time.Second

	// maxForks bounds the number of processes: more is a slip of the finger.
	maxForks = 10000
)

// A spawnPlan is what a command line asks for, checked and with whole paths.
type spawnPlan struct {
	compat, background bool

	args        []string
	dir, chroot string
	env         []string
	credential  *process.Credential // nil: as ourselves
	home        string              // of that user, if it is known
	umask       *fs.FileMode
	nice        int
	limits      []process.Limit
	noNewPrivs  bool

	address            string // of the socket, in the terms of internal/address
	mode               fs.FileMode
	socketUID, sockGID int // -1: whom the processes run as
	backlog            int

	min, max           int
	ping               bool
	startAtMost        time.Duration
	retry              int // negative: for ever
	healthy            time.Duration
	maxAge             time.Duration
	maxMemory          int64
	watch              []string
	rule               signalRule
	pidFile            string
	logFormat, logFile string
}

// plan makes a plan of the flags. Errors that are no failures are about the
// command line.
func (f *spawnFlags) plan(args []string) (*spawnPlan, error) {
	p := &spawnPlan{
		compat: f.compat, background: !f.foreground && !isInit(), nice: f.nice, noNewPrivs: f.noNewPrivs, backlog: f.backlog,
		ping: !f.noPing, startAtMost: f.startAtMost, retry: f.retry, healthy: f.timeout, maxAge: f.maxAge, logFormat: f.log,
	}
	steps := []func(*spawnPlan) error{
		func(p *spawnPlan) error { return f.planCommand(p, args) },
		f.planSocket, f.planNumbers, f.planSignals, f.planIdentity, f.planEnv, f.planPaths, (*spawnPlan).checkProgram,
	}
	for _, step := range steps {
		if err := step(p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (f *spawnFlags) planCommand(p *spawnPlan, args []string) error {
	switch {
	case len(args) > 0:
		p.args = args
	case f.command != "":
		p.args = []string{"/bin/sh", "-c", "exec " + f.command}
	default:
		return errors.New("no FastCGI application given")
	}
	if f.given("max-requests") {
		return errors.New("--max-requests: a supervisor does not see requests: for PHP set PHP_FCGI_MAX_REQUESTS; " +
			"\"sluice serve\" counts them for every application (processes.max_requests); --max-age and --max-memory work here")
	}
	return nil
}

// planSocket says where the processes listen.
func (f *spawnFlags) planSocket(p *spawnPlan) error {
	p.socketUID, p.sockGID = -1, -1
	mode, err := octal(f.mode, 0o660&^umaskNow())
	switch {
	case err != nil || mode == 0:
		return fmt.Errorf("-M %s: want an octal mode from 1 to 0777", f.mode)
	case f.port != "" && f.socket != "":
		return errors.New("either a Unix domain socket or a TCP-port, but not both")
	case f.port != "":
		p.address, err = tcpAddress(f.address, f.port)
		return err
	case f.socket == "":
		if p.address, err = handedOver(os.Getenv); err != nil {
			return err
		}
		if p.background {
			return errors.New("a socket that was handed over can be used with -n only")
		}
	case f.socket[0] == '@':
		p.address = "unix:" + f.socket
	case f.chroot != "" && !f.outside:
		p.address = "unix:" + filepath.Join(f.chroot, f.socket)
	default:
		path, err := filepath.Abs(f.socket)
		if err != nil {
			return fail(err)
		}
		p.address = "unix:" + path
	}
	p.mode = mode
	return nil
}

func tcpAddress(ip, port string) (string, error) {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("invalid port: %s", port)
	}
	if ip == "" {
		ip = "0.0.0.0"
	}
	if net.ParseIP(ip) == nil {
		return "", fmt.Errorf("'%s' is not a valid IP address", ip)
	}
	return net.JoinHostPort(ip, port), nil
}

// handedOver returns the socket that we were started with: systemd's, or
// descriptor 0 if it listens.
func handedOver(variable func(string) string) (string, error) {
	if variable("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		if n := variable("LISTEN_FDS"); n != "1" {
			return "", failf("systemd hands over %s sockets (LISTEN_FDS), and an application has one: "+
				"give the .socket unit a single Listen line, or each application a unit of its own", n)
		}
		return "fd:3", nil
	}
	if on, err := syscall.GetsockoptInt(0, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err == nil && on != 0 {
		return "fd:0", nil
	}
	return "", errors.New("no socket given (use either -p or -s)")
}

func (f *spawnFlags) planNumbers(p *spawnPlan) (err error) {
	p.min, p.max = f.forks, f.forks
	if f.given("min") {
		if p.min, p.max = f.min, f.min; f.given("forks") {
			return errors.New("--min and --forks are the same: give one of them")
		}
	}
	if f.given("max") {
		p.max = f.max
	}
	switch {
	case p.min < 1:
		return fmt.Errorf("%d processes: want 1 or more: without any, nobody would take the first connection", p.min)
	case p.max < p.min:
		return fmt.Errorf("--max %d is less than the %d of --min", p.max, p.min)
	case p.max > maxForks:
		return fmt.Errorf("%d processes: want at most %d", p.max, maxForks)
	case p.max > p.min && !p.ping:
		return errors.New("--max needs the connections that --no-ping leaves out: they show how long others wait")
	case f.backlog < 0:
		return fmt.Errorf("-b %d: want 0 or more", f.backlog)
	case f.phpChildren < 0:
		return fmt.Errorf("-C %d: want 0 or more", f.phpChildren)
	case f.nice < -20 || f.nice > 19:
		return fmt.Errorf("--nice %d: want -20, the highest priority, to 19, the lowest", f.nice)
	case f.maxAge < 0:
		return fmt.Errorf("--max-age %v: want a time", f.maxAge)
	case f.startAtMost <= 0:
		return fmt.Errorf("--start-timeout %v: want a time", f.startAtMost)
	}
	if f.maxMemory != "" {
		if p.maxMemory, err = config.ParseSize(f.maxMemory); err != nil {
			return fmt.Errorf("--max-memory: %w", err)
		}
	}
	if f.umask != "" {
		mask, err := octal(f.umask, 0)
		if err != nil {
			return fmt.Errorf("--umask %s: want an octal mask from 0 to 0777", f.umask)
		}
		p.umask = &mask
	}
	for _, text := range f.limits {
		l, err := parseLimit(text)
		if err != nil {
			return fmt.Errorf("--limit %s: %w", text, err)
		}
		p.limits = append(p.limits, l)
	}
	return nil
}

func octal(text string, missing fs.FileMode) (fs.FileMode, error) {
	if text == "" {
		return missing, nil
	}
	n, err := strconv.ParseUint(text, 8, 32)
	if err == nil && n > 0o777 {
		err = strconv.ErrRange
	}
	return fs.FileMode(n), err
}

// parseLimit reads NAME=SOFT[:HARD]. Without HARD both are the same, as with
// ulimit.
func parseLimit(text string) (l process.Limit, err error) {
	name, values, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return l, errors.New("want NAME=SOFT or NAME=SOFT:HARD")
	}
	soft, hard, both := strings.Cut(values, ":")
	if !both {
		hard = soft
	}
	l.Name = strings.ToLower(name)
	if l.Soft, err = parseAmount(soft); err != nil {
		return l, err
	}
	if l.Hard, err = parseAmount(hard); err != nil {
		return l, err
	}
	if l.Soft > l.Hard {
		return l, errors.New("the soft limit is above the hard one")
	}
	return l, nil
}

// parseAmount reads a number, one with a unit ("64MiB"), or "unlimited".
func parseAmount(text string) (uint64, error) {
	if text == "unlimited" || text == "infinity" {
		return process.Unlimited, nil
	}
	if n, err := strconv.ParseUint(text, 10, 63); err == nil {
		return n, nil
	}
	n, err := config.ParseSize(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no limit: want a number, a size like 64MiB, or unlimited", text)
	}
	return uint64(n), nil
}

// planPaths makes paths whole: the supervisor works in / later.
func (f *spawnFlags) planPaths(p *spawnPlan) (err error) {
	here, err := os.Getwd()
	if err != nil {
		return fail(err)
	}
	whole := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(here, path)
	}
	if p.background { // as spawn-fcgi does
		p.pidFile = whole(f.pidFile)
	}
	p.logFile = whole(f.logFile)
	p.chroot = whole(f.chroot)
	for _, path := range f.watch {
		p.watch = append(p.watch, whole(path))
	}
	switch {
	case p.chroot == "":
		p.dir = whole(f.dir)
		if p.dir == "" {
			p.dir = here
		}
	default:
		p.dir = filepath.Join("/", f.dir)
		if err := isFolder("chroot", p.chroot, p.chroot); err != nil {
			return err
		}
	}
	if err := isFolder("chdir", f.dir, filepath.Join(p.chroot, p.dir)); err != nil {
		return err
	}
	return p.socketStaysInside(f.outside)
}

// isFolder complains as spawn-fcgi does about the call that will fail.
func isFolder(call, said, path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return failf("%s('%s') failed: %s", call, said, errnoText(err))
	}
	return nil
}

// socketStaysInside refuses a socket that symbolic links in a chroot lead out
// of it: whoever may write there must not choose where we, who are root, make
// files.
func (p *spawnPlan) socketStaysInside(outside bool) error {
	path, isUnix := strings.CutPrefix(p.address, "unix:/")
	if p.chroot == "" || outside || !isUnix {
		return nil
	}
	root, err := filepath.EvalSymlinks(p.chroot)
	if err != nil {
		return fail(err)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir("/" + path))
	if err != nil {
		return failf("bind failed: %s", errnoText(err))
	}
	if dir != root && !strings.HasPrefix(dir, strings.TrimSuffix(root, "/")+"/") {
		return failf("the folder of the socket, /%s, leads out of the chroot %s", filepath.Dir(path), p.chroot)
	}
	return nil
}

// checkProgram finds out early what would keep the command from being started,
// with the exit status that spawn-fcgi's child would have.
func (p *spawnPlan) checkProgram() error {
	path := p.args[0]
	if !strings.Contains(path, "/") {
		return nil // it is looked up in PATH, later
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.dir, path)
	}
	path = filepath.Join(p.chroot, path)
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || unix.Access(path, unix.X_OK) != nil) {
		err = syscall.EACCES
	}
	if err == nil || p.chroot != "" {
		return nil // a link in a chroot may mean something else inside
	}
	var errno syscall.Errno
	errors.As(err, &errno)
	return &failure{
		err:  &spawnError{fmt.Sprintf("exec failed: %s: %s", p.args[0], errnoText(err)), int(errno)},
		hint: "correct the path, or make it executable (chmod +x)",
	}
}

// errnoText returns an error of the system as C programs print it.
func errnoText(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	text := errno.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// umaskNow returns our umask, which can only be read by setting it.
func umaskNow() fs.FileMode {
	mask := syscall.Umask(0o077)
	syscall.Umask(mask)
	return fs.FileMode(mask)
}
