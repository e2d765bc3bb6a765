package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/sluice-gateway/sluice/internal/testpeer"
)

const (
	// browserTest bounds a whole test: a machine that does much else at the
	// same time needs a quarter of it.
	browserTest = 4 * time.Minute

	// browserStep bounds one thing that is done with the browser. It leaves
	// time to say what the page looked like.
	browserStep = time.Minute

	// programEnd is when a sluice that ought to end is killed.
	programEnd = 45 * time.Second
)

// bounded returns the context of a test that has processes.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), browserTest)
	t.Cleanup(cancel)
	return ctx
}

// A program is a sluice that serves, as a process.
type program struct {
	url  string
	cmd  *exec.Cmd
	log  *programLog
	done chan struct{} // closed when it has ended
	err  error         // of the end; may be read after that
}

// startProgram starts "sluice ARGS" and returns when it listens. A test that
// fails shows its log.
func startProgram(ctx context.Context, t *testing.T, args ...string) *program {
	t.Helper()
	return startWriting(ctx, t, nil, args...)
}

// startWriting is startProgram with a standard output.
func startWriting(ctx context.Context, t *testing.T, stdout *os.File, args ...string) *program {
	t.Helper()
	return startLogged(ctx, t, stdout, programEnd, args...)
}

// startLogged is startWriting with the time for which the log is read after the
// program has ended: its successors go on writing.
func startLogged(ctx context.Context, t *testing.T, stdout *os.File, after time.Duration, args ...string) *program {
	t.Helper()
	p := &program{
		cmd:  exec.CommandContext(ctx, "sluice", args...),
		log:  &programLog{listening: make(chan string, 1)},
		done: make(chan struct{}),
	}
	p.cmd.Stderr = p.log
	if stdout != nil {
		p.cmd.Stdout = stdout
	}
	// SIGKILL would leave its own processes alone.
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = after
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Ends with the process, which the context and WaitDelay bound; awaited
	// when the test has ended.
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		<-p.done
		if t.Failed() {
			t.Logf("the log of sluice %q:\n%s", args, p.log)
		}
	})
	select {
	case p.url = <-p.log.listening:
	case <-p.done:
		t.Fatalf("sluice %q ended: %v", args, p.err)
	case <-ctx.Done():
		t.Fatalf("sluice %q does not listen: %v", args, ctx.Err())
	}
	return p
}

// terminate sends SIGTERM and waits for the end, which must be a clean one:
// status 0, none of its processes left behind, nothing bad in the log.
func (p *program) terminate(ctx context.Context, t *testing.T) {
	t.Helper()
	processes := descendants(t, p.cmd.Process.Pid)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		t.Fatalf("sluice does not end after SIGTERM: %v", ctx.Err())
	}
	if p.err != nil {
		t.Errorf("sluice ended after SIGTERM: %v, want status 0", p.err)
	}
	for _, left := range processes {
		if now, err := readProc(left.pid); err == nil && now.start == left.start && now.state != "Z" {
			t.Errorf("sluice has ended and left process %d (%s) behind", left.pid, left.name)
		}
	}
	for _, bad := range []string{"level=ERROR", "DATA RACE", "panic:"} {
		if strings.Contains(p.log.String(), bad) {
			t.Errorf("there is %q in the log", bad)
		}
	}
}

var listeningLine = regexp.MustCompile(`msg=listening url=(\S+)\n`)

// programLog keeps the log of a program and says when it listens.
type programLog struct {
	listening chan string // gets the URL; room for one

	mu   sync.Mutex
	text bytes.Buffer
	said bool
}

func (l *programLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	if !l.said {
		if m := listeningLine.FindSubmatch(l.text.Bytes()); m != nil {
			l.said = true
			l.listening <- string(m[1])
		}
	}
	return len(b), nil
}

func (l *programLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A proc is what /proc says of a process. The time of its start, in ticks,
// tells it from a later one with the same id.
type proc struct {
	pid, parent        int
	name, state, start string
}

// readProc reads /proc/PID/stat (proc_pid_stat(5)). The name stands in
// parentheses and may have some itself, so that the last one counts.
func readProc(pid int) (proc, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return proc{}, err
	}
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return proc{}, fmt.Errorf("process %d: no name in %q", pid, stat)
	}
	f := strings.Fields(string(stat[end+1:]))
	if len(f) < 20 {
		return proc{}, fmt.Errorf("process %d: too few fields in %q", pid, stat)
	}
	parent, err := strconv.Atoi(f[1])
	return proc{pid: pid, parent: parent, name: string(stat[open+1 : end]), state: f[0], start: f[19]}, err
}

// descendants returns the processes below pid.
func descendants(t *testing.T, pid int) []proc {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	children := make(map[int][]proc)
	for _, e := range entries {
		if id, err := strconv.Atoi(e.Name()); err == nil {
			if p, err := readProc(id); err == nil { // else it has just ended
				children[p.parent] = append(children[p.parent], p)
			}
		}
	}
	found := slices.Clone(children[pid])
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].pid]...)
	}
	return found
}

// A tab is a page in a headless Chromium.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu  sync.Mutex
	bad []string // responses that no page should bring about
}

// openTab starts a Chromium with an empty profile; it ends with the test.
func openTab(ctx context.Context, t *testing.T) *tab {
	t.Helper()
	chromium := testpeer.Need(t, "chromium", "chromium")
	ctx, stop := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium),
		chromedp.NoSandbox, // root and most containers have none, and the pages are our own
		chromedp.WindowSize(900, 800),
	)...)
	t.Cleanup(stop) // waits for the end of the browser
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	// The first use of the context starts the browser and sets its life: that
	// must not be the short one of a step.
	if err := chromedp.Listen(ctx, b.watch); err != nil {
		t.Fatalf("start %s: %v", chromium, err)
	}
	return b
}

// watch is called with all events. The icon is what browsers ask for unasked.
func (b *tab) watch(event any) {
	r, ok := event.(*network.EventResponseReceived)
	if ok && r.Response.Status >= 400 && !strings.HasSuffix(r.Response.URL, "/favicon.ico") {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.bad = append(b.bad, fmt.Sprintf("%d %s", r.Response.Status, r.Response.URL))
	}
}

// noBadResponses fails the test if a page, or something that it loads, was
// answered with a status of 400 or more.
func (b *tab) noBadResponses() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.bad {
		b.t.Errorf("the browser got %s", r)
	}
}

// do does things one after the other, or ends the test.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for _, step := range steps {
		see(b, step)
	}
}

// see returns what an action finds, or ends the test.
func see[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserStep)
	defer cancel()
	found, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.describe())
	}
	return found
}

// describe says what the page looks like.
func (b *tab) describe() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	const script = `location.href + "\n" + document.body.innerText.slice(0, 2000)`
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](script))
	if err != nil {
		return fmt.Sprintf("(the page cannot be read: %v)", err)
	}
	return text
}

// follow clicks on what leads to another page and waits until it is loaded.
func (b *tab) follow(selector string) {
	b.t.Helper()
	see(b, chromedp.WaitEvent(page.LoadEventFired, nil, chromedp.Click(chromedp.CSS(selector))))
}

// screenshot saves the page as a picture in the folder that SLUICE_SCREENSHOT
// names: those in doc/ are made so.
func (b *tab) screenshot(name string) {
	b.t.Helper()
	dir := os.Getenv("SLUICE_SCREENSHOT")
	if dir == "" {
		return
	}
	const png = 100 // any lower quality is a JPEG
	picture := see(b, chromedp.FullScreenshot(png))
	if err := os.WriteFile(filepath.Join(dir, name), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// statusOf returns the status that a GET is answered with; redirects are not
// followed.
func statusOf(ctx context.Context, t *testing.T, url string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
