// burstload: what does a client wait when there is one of them, and suddenly there are many?
//
//	burstload [-warm D] [-clients N] [-burst D] HOST:PORT PATH
//
// One client asks in a closed loop for the time of -warm. Then N clients, it among them, ask all at once, each in a
// closed loop, for the time of -burst; with -burst 0 each asks once. A request that has begun is waited for, whenever
// it ends. Each client keeps its connection, and makes it at its first request, which that is a part of; nothing is
// sent a second time.
//
// Prints a line for each request: when it began, in us since the burst did (less than 0 before it), how long it took,
// how long of that the script served, by its own word, the process that did, and the status; 0 if the answer did not
// come or was not whole.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	patience = 60 * time.Second      // for an answer
	breath   = 20 * time.Millisecond // after a failure, so that a gateway that refuses at once is not drowned
)

func main() {
	warm := flag.Duration("warm", 3*time.Second, "how long there is one client")
	burst := flag.Duration("burst", 10*time.Second, "how long there are many; 0: each asks once")
	n := flag.Int("clients", 100, "how many")
	flag.Parse()
	if flag.NArg() != 2 || *n < 1 {
		flag.Usage()
		os.Exit(2)
	}
	clients := make([]*client, *n)
	for i := range clients {
		clients[i] = newClient(flag.Arg(0), flag.Arg(1))
	}
	clients[0].loop(time.Now().Add(*warm))
	begun := time.Now()
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() { // ends by its own clock; main waits
			c.ask()
			c.loop(begun.Add(*burst))
		})
	}
	all.Wait()
	w := bufio.NewWriter(os.Stdout)
	for _, c := range clients {
		for _, r := range c.asked {
			fmt.Fprintln(w, r.begun.Sub(begun).Microseconds(), r.took.Microseconds(), r.service, r.pid, r.status)
		}
	}
	if err := w.Flush(); err != nil {
		os.Exit(1)
	}
}

// A request is what became of one.
type request struct {
	begun   time.Time
	took    time.Duration
	service int // us
	pid     int
	status  int
}

type client struct {
	address string
	wire    []byte   // the request
	conn    net.Conn // nil if there is none
	r       *bufio.Reader
	asked   []request
}

func newClient(address, path string) *client {
	return &client{address: address, wire: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, address)}
}

func (c *client) loop(until time.Time) {
	for time.Now().Before(until) {
		c.ask()
	}
}

func (c *client) ask() {
	r := request{begun: time.Now()}
	err := c.roundTrip(&r)
	r.took = time.Since(r.begun)
	if err != nil {
		fmt.Fprintln(os.Stderr, "burstload:", err)
		c.hangUp()
	}
	if r.status != http.StatusOK {
		time.Sleep(breath)
	}
	c.asked = append(c.asked, r)
}

func (c *client) roundTrip(r *request) error {
	if err := c.dial(); err != nil {
		return err
	}
	c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := c.conn.Write(c.wire); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusOK {
		if err := r.understand(resp.Header, body); err != nil {
			return err
		}
	}
	r.status = resp.StatusCode
	if resp.Close {
		c.hangUp()
	}
	return nil
}

func (c *client) dial() (err error) {
	if c.conn != nil {
		return nil
	}
	if c.conn, err = net.DialTimeout("tcp", c.address, patience); err != nil {
		c.conn = nil
		return err
	}
	c.r = bufio.NewReader(c.conn)
	return nil
}

func (c *client) hangUp() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// understand takes what the script says of itself, and compares the length of
// its answer with what it promised.
func (r *request) understand(h http.Header, body []byte) (err error) {
	if r.service, err = strconv.Atoi(h.Get("X-Service-Us")); err != nil {
		return err
	}
	line, rest, _ := bytes.Cut(body, []byte("\n"))
	var n int
	if _, err := fmt.Sscanf(string(line), "%d %d", &r.pid, &n); err != nil {
		return err
	}
	if len(rest) != n {
		return errors.New("the answer has " + strconv.Itoa(len(rest)) + " bytes, not " + strconv.Itoa(n))
	}
	return nil
}
