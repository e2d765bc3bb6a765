package sluice

import (
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/backend"
	"github.com/sluice-gateway/sluice/process"
)

// A crowd is clients that ask one after the other, all the time, and count.
type crowd struct {
	good, bad atomic.Int64
	first     atomic.Pointer[string] // what the first failure was
	ended     sync.Once
	stop      chan struct{}
	clients   sync.WaitGroup
}

const crowdPause = 50 * time.Millisecond

// newCrowd starts n clients of a server. end ends them, at the latest that of
// the test.
func newCrowd(g *rig, n int, method, path string) *crowd {
	c := &crowd{stop: make(chan struct{})}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: n}}
	url := URL(g.s.Addrs()[0]) + path
	for range n {
		c.clients.Go(func() {
			for {
				c.ask(client, method, url)
				select {
				case <-c.stop:
					return
				case <-time.After(crowdPause):
				}
			}
		})
	}
	g.t.Cleanup(func() {
		c.end()
		client.CloseIdleConnections()
	})
	return c
}

func (c *crowd) ask(client *http.Client, method, url string) {
	body := ""
	if method == "POST" {
		body = "a body"
	}
	r, _ := http.NewRequest(method, url, strings.NewReader(body))
	resp, err := client.Do(r)
	why := ""
	if err != nil {
		why = err.Error()
	} else {
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if _, noPID := strconv.Atoi(string(body)); resp.StatusCode != 200 || err != nil || noPID != nil {
			why = resp.Status + " " + string(body)
		}
	}
	if why == "" {
		c.good.Add(1)
		return
	}
	c.bad.Add(1)
	c.first.CompareAndSwap(nil, &why)
}

func (c *crowd) end() {
	c.ended.Do(func() { close(c.stop) })
	c.clients.Wait()
}

// Whatever is done to the processes, nobody who asks learns of it.
func TestNothingIsLost(t *testing.T) {
	const clients, restarts, reloads, kills, processes = 64, 20, 20, 200, 8
	cfg := oneApp(t, processes)
	g := start(t, cfg)
	g.get("/")
	c := newCrowd(g, clients, "GET", "")
	for range restarts {
		if err := g.s.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range reloads {
		cfg := oneApp(t, processes)
		cfg.Backends[0].Env["GENERATION"] = strconv.Itoa(i)
		if err := g.s.Reload(cfg); err != nil {
			t.Fatal(err)
		}
	}
	killed := killIdle(g, kills)
	c.end()
	t.Logf("%d requests, %d failed; %d restarts, %d reloads, %d processes killed", c.good.Load()+c.bad.Load(), c.bad.Load(), restarts, reloads, killed)
	if n := c.bad.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, the first: %s\n%s", n, n+c.good.Load(), *c.first.Load(), strings.Join(g.log.With("request failed"), "\n"))
	}
	if c.good.Load() < clients*100 {
		t.Errorf("%d requests: the test shows nothing", c.good.Load())
	}
}

// A request that may not be repeated is lost with the process that it had been
// sent to; no other is.
func TestOnlySentPostsAreLost(t *testing.T) {
	const kills, processes = 30, 8
	cfg := oneApp(t, processes)
	cfg.Backends[0].MaxLoad = 1 // so that no more than one is lost at a time
	g := start(t, cfg)
	g.get("/")
	gets, posts := newCrowd(g, 4, "GET", "slow"), newCrowd(g, 8, "POST", "slow")
	killed := killBusy(g, kills)
	gets.end()
	posts.end()
	t.Logf("%d busy processes killed: of %d GETs %d were lost, of %d POSTs %d",
		killed, gets.good.Load()+gets.bad.Load(), gets.bad.Load(), posts.good.Load()+posts.bad.Load(), posts.bad.Load())
	if n := gets.bad.Load(); n > 0 {
		t.Errorf("%d GETs were lost, the first: %s", n, *gets.first.Load())
	}
	if n := posts.bad.Load(); n == 0 || n > int64(killed) {
		t.Errorf("%d POSTs were lost with %d processes that had one request each at the most", n, killed)
	} else if first := *posts.first.Load(); !strings.HasPrefix(first, "502 ") {
		t.Errorf("a POST that was lost got %s, want 502", first)
	}
}

// killPause is from one kill to the next: some processes are then killed before
// their predecessors' deaths are old news.
const killPause = 100 * time.Millisecond

// killIdle kills processes that have nothing to do, of whatever age, one after
// the other, and returns how many.
func killIdle(g *rig, n int) (killed int) {
	for end := time.Now().Add(time.Minute); killed < n; {
		if time.Now().After(end) {
			g.t.Fatalf("there is nobody to kill after %d:\n%s", killed, strings.Join(g.log.With("process died"), "\n"))
		}
		if pid := anyProcess(g, false); pid != 0 && syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
		}
		time.Sleep(killPause)
	}
	return killed
}

// killBusy kills processes that serve something, and returns how many. It waits
// for the successor each time: a GET is sent again, but not twice.
func killBusy(g *rig, n int) (killed int) {
	b := g.backend("app")
	whole := len(b.Status().Processes)
	for killed < n {
		if pid := anyProcess(g, true); pid != 0 && syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
			await(g.t, "another process", func() bool { return !isMember(b, pid) && members(b) == whole })
			time.Sleep(crowdPause) // until what was sent again is done
			continue
		}
		time.Sleep(20 * time.Millisecond)
	}
	return killed
}

func members(b *backend.Backend) int { return len(b.Status().Members) }

func isMember(b *backend.Backend, pid int) bool {
	return slices.ContainsFunc(b.Status().Members, func(m process.Member) bool { return m.PID == pid })
}

// anyProcess returns a process that takes requests and has some now, or none, 0
// if there is none such.
func anyProcess(g *rig, busy bool) int {
	s := g.backend("app").Status()
	load := make(map[string]int)
	for _, w := range s.Pool.Workers {
		load[w.Address] = w.Load
	}
	var found []int
	for _, m := range s.Members {
		if n, ok := load[m.Address]; ok && n > 0 == busy {
			found = append(found, m.PID)
		}
	}
	if len(found) == 0 {
		return 0
	}
	return found[rand.IntN(len(found))]
}
