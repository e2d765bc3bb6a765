// bulk: a request whose params, body or answer is very long, through fastcgi.Client to `app SOCKET bulk`.
//
//	bulk SOCKET params|up|down BYTES
//
// Prints: RESULT usecs errors peak_rss_kb. Nothing is kept; the other end's checksum, or that of the answer, is
// compared with what it must be.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/bench/pattern"
	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
)

func main() {
	socket, what := os.Args[1], os.Args[2]
	n, err := strconv.ParseInt(os.Args[3], 10, 64)
	if err != nil {
		panic(err)
	}
	want := fmt.Sprintf("%d %d <nil>", n, pattern.Sum(n))
	c := &fastcgi.Client{MaxParams: 2 << 20}
	defer c.Close()
	r := &cgi.Request{Method: "GET", Target: "/" + what, Proto: "HTTP/1.1", Host: "localhost"}
	switch what {
	case "params":
		var big strings.Builder
		io.Copy(&big, &pattern.Body{Left: n})
		r.Extra = []cgi.Field{{Name: "BIG", Value: big.String()}}
	case "up":
		r.Method, r.Body, r.ContentLength = "POST", &pattern.Body{Left: n}, n
	case "down":
		r.Target += "?" + os.Args[3]
	}
	start, errors := time.Now(), 0
	if got, err := ask(c, socket, r, what == "down"); got != want {
		fmt.Fprintf(os.Stderr, "%s: got %.100q, %v, want %q\n", what, got, err, want)
		errors++
	}
	fmt.Println("RESULT", time.Since(start).Microseconds(), errors, peak())
}

// ask returns the answer, or of a long one its length and checksum in the form of the short ones.
func ask(c *fastcgi.Client, socket string, r *cgi.Request, long bool) (string, error) {
	resp, err := c.RoundTrip(context.Background(), "unix", socket, r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if !long {
		b, err := io.ReadAll(resp.Body)
		return string(bytes.TrimSpace(b)), err
	}
	sum := pattern.NewSum()
	n, err := io.Copy(sum, resp.Body)
	return fmt.Sprintf("%d %d %v", n, sum.Sum32(), err), err
}

// peak returns the most memory that this process has had resident, in kB.
func peak() string {
	status, _ := os.ReadFile("/proc/self/status")
	return string(regexp.MustCompile(`VmHWM:\s*(\d+)`).FindSubmatch(status)[1])
}
