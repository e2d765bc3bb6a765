package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/spf13/cobra"
)

// getFlags are the flags of "sluice get".
type getFlags struct {
	method, host, root, script, data string
	headers, params                  []string
	include, verbose, authorizer     bool
	timeout                          time.Duration
}

func newGet() *cobra.Command {
	var f getFlags
	cmd := &cobra.Command{
		Use:   "get ADDR [PATH]",
		Short: "Ask a FastCGI application, as curl asks a web server",
		Long: `Get sends one request to the FastCGI application at ADDR and prints the body of
its answer. PATH is the request target, "/" if it is missing.

What the application writes to STDERR goes to standard error. With -v the
params that are sent, the head of the answer and the time it took do, too.

Exit status: 0 if the status of the answer is below 400, else 1; 2 wrong usage.`,
		Example: `  sluice get /run/php/php-fpm.sock /index.php?id=1 --root /var/www
  sluice get 127.0.0.1:9000 / --data @picture.png -H 'Content-Type: image/png'
  sluice get unix:/run/app.sock /ping -v`,
		Args: wantArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			target := "/"
			if len(args) == 2 {
				target = args[1]
			}
			return f.run(cmd, args[0], target)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVarP(&f.method, "method", "X", "", "request `METHOD` (default GET, or POST with --data)")
	fs.StringArrayVarP(&f.headers, "header", "H", nil, "header `FIELD`, \"Name: value\"; may be repeated")
	fs.StringVarP(&f.data, "data", "d", "", "request `BODY`; @FILE reads it from a file, @- from standard input")
	fs.StringArrayVarP(&f.params, "param", "p", nil, "`NAME=VALUE` to send as a param; wins over a computed one; may be repeated")
	fs.StringVar(&f.root, "root", "", "document root; SCRIPT_FILENAME becomes `DIR` and the path")
	fs.StringVar(&f.script, "script", "", "SCRIPT_FILENAME, `FILE`; what PATH has beyond its name becomes PATH_INFO")
	fs.StringVar(&f.host, "host", "localhost", "`HOST` that is asked for")
	fs.BoolVar(&f.authorizer, "authorizer", false, "ask as an authorizer instead of a responder")
	fs.BoolVarP(&f.include, "include", "i", false, "print the head of the answer before its body")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "print params, head and time to standard error")
	fs.DurationVar(&f.timeout, "timeout", 30*time.Second, "give up after this `TIME`")
	return cmd
}

func (f *getFlags) run(cmd *cobra.Command, where, target string) error {
	at, err := dialable(where)
	if err != nil {
		return err
	}
	r, err := f.request(target, cmd.InOrStdin())
	if err != nil {
		return err
	}
	stderr := cmd.ErrOrStderr()
	if f.verbose {
		for name, value := range r.Params() {
			fmt.Fprintf(stderr, "> %s=%s\n", name, value)
		}
	}
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), f.timeout, noAnswer{f.timeout})
	defer cancel()
	client := &fastcgi.Client{MaxIdle: -1, Log: slog.New(&rawStderr{stderr, f.verbose})}
	defer client.Close()

	start := time.Now()
	resp, err := client.RoundTrip(ctx, at.Network, at.Address, r)
	if err != nil {
		return unreached("get", at, err)
	}
	defer resp.Body.Close()
	first := time.Since(start)
	if f.include {
		printHead(cmd.OutOrStdout(), "", &resp.Head)
		fmt.Fprintln(cmd.OutOrStdout())
	}
	if f.verbose {
		printHead(stderr, "< ", &resp.Head)
	}
	n, err := io.Copy(cmd.OutOrStdout(), resp.Body)
	if err != nil {
		return unreached(fmt.Sprintf("get: after %d bytes of the body", n), at, err)
	}
	resp.Body.Close() // what is left of STDERR is printed before we go on
	if f.verbose {
		fmt.Fprintf(stderr, "* %d bytes; head after %v, all after %v\n", n, first.Round(time.Microsecond), time.Since(start).Round(time.Microsecond))
	}
	if resp.Status >= 400 && !f.include && !f.verbose {
		fmt.Fprintf(stderr, "sluice: get %s: status %d\n", at, resp.Status)
	}
	if resp.Status >= 400 {
		outcome.Hint(stderr, "sluice", f.hint(resp.Status, r))
		return outcome.Code(outcome.Problem)
	}
	return nil
}

// hint says what a 404 may be about: most often the application looks for a
// file in another place.
func (f *getFlags) hint(status int, r *cgi.Request) string {
	switch {
	case status != 404:
		return ""
	case r.Script.Filename == "":
		return "an application that runs files, as PHP does, wants to know where they are: give --root or --script"
	}
	return fmt.Sprintf("the application may not see %s: --root and --script are paths on its side", r.Script.Filename)
}

// A rawStderr is the log of a Client that writes an application's STDERR as
// it is.
type rawStderr struct {
	w      io.Writer
	marked bool // among other lines
}

func (h *rawStderr) Enabled(context.Context, slog.Level) bool { return true }
func (h *rawStderr) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h *rawStderr) WithGroup(string) slog.Handler            { return h }

// Handle implements slog.Handler.
func (h *rawStderr) Handle(_ context.Context, rec slog.Record) error {
	if h.marked {
		io.WriteString(h.w, "! ")
	}
	var err error
	rec.Attrs(func(a slog.Attr) bool {
		if a.Key == "text" {
			_, err = fmt.Fprintln(h.w, a.Value)
			return false
		}
		_, err = fmt.Fprintf(h.w, "sluice: %s: %s\n", rec.Message, a)
		return true
	})
	return err
}

func printHead(w io.Writer, prefix string, h *cgi.Head) {
	fmt.Fprintf(w, "%sStatus: %d\n", prefix, h.Status)
	for _, f := range h.Header {
		fmt.Fprintf(w, "%s%s: %s\n", prefix, f.Name, f.Value)
	}
}

// request makes the request that the flags describe.
func (f *getFlags) request(target string, stdin io.Reader) (*cgi.Request, error) {
	if !strings.HasPrefix(target, "/") {
		return nil, fmt.Errorf("path %q must start with /", target)
	}
	r := &cgi.Request{
		Method: f.method, Target: target, Proto: "HTTP/1.1", Host: f.host, ContentLength: -1,
		RemoteAddr: "127.0.0.1", RemotePort: "0", ServerAddr: "127.0.0.1", ServerPort: "80",
	}
	if f.authorizer {
		r.Role = cgi.Authorizer
	}
	f.setScript(r)
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("header %q: want \"Name: value\"", h)
		}
		r.Header = append(r.Header, cgi.Field{Name: name, Value: strings.TrimSpace(value)})
	}
	for _, p := range f.params {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("param %q: want NAME=VALUE", p)
		}
		r.Extra = append(r.Extra, cgi.Field{Name: name, Value: value})
	}
	return r, f.setBody(r, stdin)
}

// setScript says what the path means, without looking at any file: they may
// be on another machine.
func (f *getFlags) setScript(r *cgi.Request) {
	urlPath := r.Path()
	r.Script = cgi.Script{Name: urlPath, Root: f.root}
	switch {
	case f.script != "":
		r.Script.Filename = f.script
		if name := "/" + path.Base(f.script); strings.Contains(urlPath, name+"/") {
			i := strings.Index(urlPath, name+"/") + len(name)
			r.Script.Name, r.Script.PathInfo = urlPath[:i], urlPath[i:]
		}
	case f.root != "":
		r.Script.Filename = strings.TrimSuffix(f.root, "/") + urlPath
	}
}

func (f *getFlags) setBody(r *cgi.Request, stdin io.Reader) error {
	if r.Method == "" {
		r.Method = "GET"
		if f.data != "" {
			r.Method = "POST"
		}
	}
	if f.data == "" {
		return nil
	}
	body := []byte(f.data)
	if name, ok := strings.CutPrefix(f.data, "@"); ok {
		var err error
		if name == "-" {
			body, err = io.ReadAll(stdin)
		} else {
			body, err = os.ReadFile(name)
		}
		if err != nil {
			return outcome.Failf("--data %s: %w", f.data, err)
		}
	} else if !r.Header.Has("Content-Type") {
		r.Header = append(r.Header, cgi.Field{Name: "Content-Type", Value: "application/x-www-form-urlencoded"})
	}
	r.Body, r.ContentLength = cgi.BytesBody(bytes.Clone(body)), int64(len(body))
	return nil
}
