package sluice

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/testpeer"
	"github.com/sluice-gateway/sluice/pool"
)

// sips takes the body in pieces of 64 KiB, and has something to do with each. It
// reads no further ahead than 8 KiB, as libfcgi does.
const sips = `use FCGI;
my $r = FCGI::Request();
while ($r->Accept() >= 0) {
	my $n = 0;
	while (my $m = read(STDIN, my $piece, 65536)) {
		$n += $m;
		select(undef, undef, undef, 0.1);
	}
	print "Content-Type: text/plain\r\n\r\n$n";
}`

// A process that takes a large body slowly, and says nothing before its end, is
// well.
func TestUploadsThatTakeTheirTime(t *testing.T) {
	t.Parallel()
	perl := testpeer.NeedPerl(t, "FCGI", "libfcgi-perl")
	const size = 2 << 20
	for name, chunked := range map[string]bool{"of a known length": false, "chunked": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startEdited(t, func(c *config.Config) {
				c.Backends[0].Command = []string{perl, "-e", sips}
				c.Backends[0].Processes = config.Processes{Max: 1, HungTimeout: 1500 * time.Millisecond}
			})
			g.wants(200, "GET", "/", "")
			var body io.Reader = strings.NewReader(strings.Repeat("x", size))
			if chunked {
				body = io.MultiReader(body)
			}
			resp, err := g.client.Post(URL(g.s.Addrs()[0])+"", "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); string(got) != fmt.Sprint(size) || err != nil {
				t.Errorf("%d %.60q, %v, want %d\n%s", resp.StatusCode, got, err, size, g.log)
			}
		})
	}
}

// A process that hangs is found beside a request whose client neither sends nor
// reads.
func TestHungBesideAClientWhoDoesNothing(t *testing.T) {
	t.Parallel()
	g := editProcesses(t, config.Processes{Max: 1, HungTimeout: 2 * time.Second})
	g.get("/")
	worker := func() pool.WorkerStatus { return g.backend("app").Status().Pool.Workers[0] }
	nc := g.dial()
	fmt.Fprintf(nc, "POST /flood HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc")
	var before uint64
	await(t, "nothing is read any more", func() bool {
		now := worker()
		same := now.Signs == before && now.AtClient == 1
		before = now.Signs
		return same
	})
	g.ask("/silent")
	await(t, "the process is ended", func() bool { return g.count("process aborted") > 0 })
}

// A process whose answers are given up, and that sends all the time, is well.
func TestStreamsThatAreLeft(t *testing.T) {
	t.Parallel()
	g := editProcesses(t, config.Processes{Max: 1, HungTimeout: time.Second})
	g.get("/")
	ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
	defer cancel()
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			r, _ := http.NewRequestWithContext(ctx, "GET", URL(g.s.Addrs()[0])+"flood", nil)
			resp, err := g.client.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			io.Copy(io.Discard, resp.Body) // until the time is over
		})
	}
	all.Wait()
	if lines := g.log.With("process aborted"); len(lines) > 0 {
		t.Errorf("taken for hung: %s", strings.Join(lines, "\n"))
	}
}

// The same with one whose client takes nothing of it.
func TestStreamThatIsNotRead(t *testing.T) {
	t.Parallel()
	g := editProcesses(t, config.Processes{Max: 1, HungTimeout: time.Second})
	g.get("/")
	ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", URL(g.s.Addrs()[0])+"flood", nil)
	resp, err := g.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	<-ctx.Done()
	if lines := g.log.With("process aborted"); len(lines) > 0 {
		t.Errorf("taken for hung: %s", strings.Join(lines, "\n"))
	}
}

// A process that hangs is ended although it is being replaced, and although
// nobody may wait so long for its answers.
func TestHungAndReplaced(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		c.Backends[0].Processes = config.Processes{Max: 1, MaxRequests: 3, HungTimeout: 2 * time.Second}
		c.Backends[0].Timeout.FirstByte = 10 * time.Second
	})
	first := g.pid()
	hangs := g.ask("/silent")
	await(t, "it drains", func() bool { g.get("/"); return g.count("process drains") > 0 })
	await(t, "it is ended", func() bool { return gone(first) })
	if n := g.count("process aborted"); n != 1 {
		t.Errorf("%d processes were aborted, want 1:\n%s", n, g.log)
	}
	if r := <-hangs; r.status != 502 {
		t.Errorf("the request that hung: %v, want 502", r)
	}
}

// A process that answers nobody in time is found, however many have been told
// so.
func TestHungBehindFirstByte(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		c.Backends[0].Processes = config.Processes{Max: 1, HungTimeout: time.Second}
		c.Backends[0].Timeout.FirstByte = 700 * time.Millisecond
	})
	first := g.pid()
	for end := time.Now().Add(10 * time.Second); g.count("process aborted") == 0; {
		if status, _, _ := g.try("GET", "/silent", ""); status == 200 {
			t.Fatal("an answer: the test shows nothing")
		}
		if time.Now().After(end) {
			t.Fatalf("process %d answers nobody, and is not found:\n%s", first, g.log)
		}
	}
}
