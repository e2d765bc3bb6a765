// muxload: what do requests on one multiplexed connection of fastcgi.Client feel of one among them whose long
// answer nobody reads?
//
//	muxload [-stall] [-d SECS] [-n BYTES] [-dir SPILLDIR] SOCKET
//
// 63 workers ask for /hello in a closed loop, after half a second to warm up. With -stall, /long?n=BYTES is asked
// for when the measurement begins, and read and compared when it is over.
//
// Prints: RESULT requests usecs p50_us p99_us errors conns heap_bytes file_bytes peak_rss_kb. The connections, how
// much of the heap is in use more than before the measurement, and what is in files are those at its end.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/bench/pattern"
	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
)

const workers = 63

var (
	// Twice what is needed, because a request has its place on the connection
	// until END_REQUEST has come, which may be after the end of its answer. And
	// the connection on which the first requests went, before it was known that
	// the application multiplexes, is not kept.
	client   = &fastcgi.Client{Multiplex: 2 * (workers + 1), IdleTimeout: 50 * time.Millisecond}
	socket   string
	counting atomic.Bool
	errors   atomic.Int64
	latency  [1 << 20]atomic.Uint32 // requests, by us; the last one has all that took longer
)

func get(target string) *cgi.Request {
	return &cgi.Request{Method: "GET", Target: target, Proto: "HTTP/1.1", Host: "localhost", RemoteAddr: "127.0.0.1"}
}

func work(ctx context.Context) {
	r := get("/hello")
	for ctx.Err() == nil {
		start, counts := time.Now(), counting.Load()
		resp, err := client.RoundTrip(context.Background(), "unix", socket, r)
		var n int64
		if err == nil {
			n, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		if err != nil || resp.Status != 200 || n != 12 {
			errors.Add(1)
			fmt.Fprintln(os.Stderr, "hello:", n, err)
			time.Sleep(time.Millisecond)
		}
		if counts && counting.Load() {
			latency[min(time.Since(start).Microseconds(), int64(len(latency)-1))].Add(1)
		}
	}
}

// percentile returns below how many us that part of the requests took, and how many there were.
func percentile(part float64) (us int, total int64) {
	for i := range latency {
		total += int64(latency[i].Load())
	}
	left := int64(float64(total) * part)
	for us = range latency {
		if left -= int64(latency[us].Load()); left < 0 {
			break
		}
	}
	return us, total
}

// open returns how many connections this process has, and how much of the disk its files in dir take.
func open(dir string) (conns int, disk int64) {
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		name, _ := os.Readlink(fd)
		var st syscall.Stat_t
		if strings.HasPrefix(name, "socket:") {
			conns++
		} else if strings.HasPrefix(name, dir+"/") && syscall.Stat(fd, &st) == nil {
			disk += st.Blocks * 512
		}
	}
	return conns, disk
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func main() {
	stall := flag.Bool("stall", false, "one answer is not read")
	secs := flag.Int("d", 2, "seconds")
	size := flag.Int64("n", 64<<20, "bytes of that answer")
	flag.StringVar(&client.SpillDir, "dir", os.TempDir(), "for what has no room in memory")
	flag.IntVar(&client.Window, "window", fastcgi.DefaultWindow, "bytes of one answer")
	flag.Int64Var(&client.MaxSpillMemory, "memory", 1<<20, "bytes of all answers beyond that, in memory")
	flag.Int64Var(&client.MaxSpill, "files", 128<<20, "the same, in files")
	flag.Parse()
	socket = flag.Arg(0)

	var all sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	work1, stop1 := context.WithTimeout(ctx, 250*time.Millisecond) // learn what the application can
	defer stop1()
	work(work1)
	for range workers {
		all.Go(func() { work(ctx) })
	}
	time.Sleep(250 * time.Millisecond)

	before, start := heap(), time.Now()
	counting.Store(true)
	var long *cgi.Response
	if *stall {
		var err error
		if long, err = client.RoundTrip(context.Background(), "unix", socket, get(fmt.Sprint("/long?n=", *size))); err != nil {
			panic(err)
		}
	}
	time.Sleep(time.Until(start.Add(time.Duration(*secs) * time.Second)))
	counting.Store(false)
	took := time.Since(start)
	after := heap()
	conns, disk := open(client.SpillDir)
	stop()
	all.Wait()
	if conns != 1 {
		fmt.Fprintln(os.Stderr, "connections:", conns)
		errors.Add(1)
	}
	if long != nil {
		sum := pattern.NewSum()
		n, err := io.Copy(sum, long.Body)
		if long.Body.Close(); n != *size || err != nil || sum.Sum32() != pattern.Sum(*size) {
			fmt.Fprintln(os.Stderr, "the long answer is wrong:", n, err)
			errors.Add(1)
		}
	}
	client.Close()
	p50, total := percentile(.5)
	p99, _ := percentile(.99)
	status, _ := os.ReadFile("/proc/self/status")
	peak := regexp.MustCompile(`VmHWM:\s*(\d+)`).FindSubmatch(status)[1]
	fmt.Println("RESULT", total, took.Microseconds(), p50, p99, errors.Load(), conns, after-before, disk, string(peak))
}
