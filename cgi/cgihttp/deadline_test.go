package cgihttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

const shortWrite = 200 * time.Millisecond

// A client that does not read is given up: the handler's Write or ReadFrom
// returns an error.
func TestClientThatDoesNotRead(t *testing.T) {
	big, err := os.Create(filepath.Join(t.TempDir(), "big"))
	if err != nil {
		t.Fatal(err)
	}
	defer big.Close()
	if err := big.Truncate(1 << 30); err != nil { // takes no space
		t.Fatal(err)
	}
	for name, send := range map[string]func(w cgi.ResponseWriter) error{
		"write": func(w cgi.ResponseWriter) error {
			for range 1 << 14 {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return err
				}
			}
			return nil
		},
		"file": func(w cgi.ResponseWriter) error {
			_, err := w.(io.ReaderFrom).ReadFrom(io.NewSectionReader(big, 0, 1<<30))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			s := httptest.NewServer(&FrontEnd{WriteTimeout: shortWrite, Handler: cgi.HandlerFunc(
				func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) { ended <- send(w) })})
			defer s.Close()
			nc := dialQuiet(t, s, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			defer nc.Close()
			select {
			case err := <-ended:
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("error %v, want that the deadline is exceeded", err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the handler is still held")
			}
		})
	}
}

func dialQuiet(t *testing.T, s *httptest.Server, request string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(nc, request); err != nil {
		t.Fatal(err)
	}
	return nc
}

// A client that reads slowly gets all of it, however long it takes; so does
// one that asks again on a connection whose last deadline is over, and one
// whose handler thinks for longer than the timeout.
func TestSlowClientsAreServed(t *testing.T) {
	const size = 2 << 20
	f := &FrontEnd{WriteTimeout: shortWrite, Handler: cgi.HandlerFunc(
		func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			w.WriteHeader(200, cgi.Header{{Name: "Content-Length", Value: fmt.Sprint(size)}})
			w.Flush()
			time.Sleep(2 * shortWrite)
			w.(io.ReaderFrom).ReadFrom(io.LimitReader(zeros{}, size/2))
			time.Sleep(2 * shortWrite)
			for range size / 2 / 1024 {
				w.Write(make([]byte, 1024))
			}
		})}
	for name, setup := range map[string]func(*http.Protocols){
		"h1":  func(p *http.Protocols) { p.SetHTTP1(true) },
		"h2c": func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
	} {
		t.Run(name, func(t *testing.T) {
			var protocols http.Protocols
			setup(&protocols)
			s := httptest.NewUnstartedServer(f)
			s.Config.Protocols = &protocols
			s.Start()
			defer s.Close()
			c := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{Protocols: &protocols}}
			defer c.CloseIdleConnections()
			for range 2 {
				if got, err := readSlowly(&c, s.URL); got != size || err != nil {
					t.Errorf("got %d bytes, %v, want %d", got, err, size)
				}
				time.Sleep(2 * shortWrite)
			}
		})
	}
}

func readSlowly(c *http.Client, url string) (got int, err error) {
	res, err := c.Get(url)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	buf := make([]byte, 128<<10)
	for {
		n, err := res.Body.Read(buf)
		got += n
		if err == io.EOF {
			return got, nil
		} else if err != nil {
			return got, err
		}
		time.Sleep(shortWrite / 20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
