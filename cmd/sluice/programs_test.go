package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path"
	"strconv"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
)

// The programs that scripts run beside sluice.

// patience bounds how long they wait for each other.
const patience = 10 * time.Second

// die ends a program.
func die(err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", path.Base(os.Args[0]), err)
	os.Exit(1)
}

// workerMain is "worker ADDR": an application, until SIGTERM.
func workerMain() {
	l, err := fastcgi.Listen(os.Args[1])
	if err != nil {
		die(err)
	}
	s := &fastcgi.Server{Handler: cgi.HandlerFunc(applicate)}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }() // ends at Shutdown; awaited below
	select {
	case err = <-ended:
	case <-ctx.Done():
		s.Shutdown(context.Background())
		err = <-ended
	}
	if !errors.Is(err, fastcgi.ErrClosed) {
		die(err)
	}
}

// applicate answers as the path says.
func applicate(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	text := cgi.Header{{Name: "Content-Type", Value: "text/plain"}}
	switch r.Path() {
	case "/status": // ?503
		status, _ := strconv.Atoi(r.Query())
		w.WriteHeader(status, text)
		fmt.Fprintf(w, "this is %d\n", status)
	case "/stderr":
		io.WriteString(cgi.Stderr(w), "first complaint\nsecond complaint\n")
		io.WriteString(w, "done\n")
	case "/cut":
		w.WriteHeader(200, text)
		io.WriteString(w, "half\n")
		w.Flush()
		w.Abort()
	case "/hang": // whoever waits at hang.sock knows when
		if l, err := net.Listen("unix", "hang.sock"); err == nil {
			defer l.Close()
		}
		<-ctx.Done()
	case "/echo":
		w.WriteHeader(200, text)
		for name, value := range r.Params() {
			fmt.Fprintf(w, "%s=%s\n", name, value)
		}
		fmt.Fprintf(w, "role=%v\n\n", r.Role)
		if r.Body != nil {
			io.Copy(w, r.Body)
		}
	default:
		w.WriteHeader(200, text)
		io.WriteString(w, "hello from "+os.Args[1]+"\n")
	}
}

// awaitMain is "await SOCKET": it returns when somebody listens there.
func awaitMain() {
	c, err := dialPatiently(os.Args[1])
	if err != nil {
		die(err)
	}
	c.Close()
}

func dialPatiently(socket string) (net.Conn, error) {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("unix", socket)
		if err == nil || time.Now().After(end) {
			return c, err
		}
	}
}

// httpGetMain is "http-get SOCKET TARGET [TEXT]": it asks a gateway that
// listens at a unix socket and prints status and body; with TEXT it asks until
// the body begins with it.
func httpGetMain() {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return dialPatiently(os.Args[1]) },
	}}
	want := ""
	if len(os.Args) > 3 {
		want = os.Args[3]
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		resp, err := client.Get("http://gateway" + os.Args[2])
		if err != nil {
			die(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			die(err)
		}
		if len(body) >= len(want) && string(body[:len(want)]) == want {
			fmt.Printf("%s\n%s", resp.Status, body)
			return
		}
		if time.Now().After(end) {
			die(fmt.Errorf("%s answers %s %.200q, want %q", os.Args[2], resp.Status, body, want))
		}
	}
}

// tellSignalsMain is "tell-signals FILE N": it writes the signals that it gets
// to FILE, a line each, and ends after N of them. The first line says that it
// listens to them.
func tellSignalsMain() {
	n, err := strconv.Atoi(os.Args[2])
	if err != nil {
		die(err)
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2)
	f, err := os.OpenFile(os.Args[1], os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		die(err)
	}
	end := time.After(time.Minute) // none lives for longer
	fmt.Fprintln(f, "listening")
	for range n {
		select {
		case sig := <-signals:
			fmt.Fprintln(f, sig)
		case <-end:
			os.Exit(9)
		}
	}
}
