package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/pool"
	"github.com/sluice-gateway/sluice/static"
)

// A Transport carries one request to an application and its answer back.
// *fastcgi.Client is one.
//
// It sends a request once. An error is a *cgi.Error, or that of the context.
// The body of the response should implement io.WriterTo, and flush a writer
// that has a method Flush() error before it waits for more.
type Transport interface {
	RoundTrip(ctx context.Context, network, address string, r *cgi.Request) (*cgi.Response, error)
}

// A Backend is a named application.
type Backend struct {
	Name      string
	Pool      *pool.Pool
	Transport Transport

	// Root is the document root in the application's file system. Empty means
	// that of the Handler's Files.
	Root string

	// Params are sent with each request, and win over those of the same name.
	Params []cgi.Field

	// Killed waits for a moment until it is known what has become of a worker's
	// process, and reports whether somebody has killed it since then. Nil:
	// nobody knows.
	Killed func(ctx context.Context, worker pool.Endpoint, since time.Time) bool
}

// A Handler is a gateway: a cgi.Handler that hands requests to applications
// and serves files. Its fields must not be changed once it serves.
type Handler struct {
	Routes []Route       // the first that matches counts; files are served to the rest
	Files  *static.Files // nil: there are no files
	Index  []string      // names of the files that stand for a folder, best first

	// MaxBody bounds request bodies, in bytes, and BodyTimeout the wait for
	// each piece of one. Zero means DefaultMaxBody and DefaultBodyTimeout;
	// negative, no limit.
	MaxBody     int64
	BodyTimeout time.Duration

	// Spool keeps request bodies of unknown length until they are complete,
	// because CGI wants their length first. Nil means one of its own.
	Spool *Spool

	// Log is told why a request was refused or failed. Nil discards.
	Log *slog.Logger
}

var _ cgi.Handler = (*Handler)(nil)

// A turn is one request on its way through the Handler.
type turn struct {
	h    *Handler
	ctx  context.Context
	w    cgi.ResponseWriter
	r    *cgi.Request
	body requestBody // nil if there is none
	note noter       // nil if nobody wants to know
	room [3]slog.Attr

	life life // of the worker that is asked
}

// A noter takes what the access log should say of a request.
type noter interface{ Note(...slog.Attr) }

// ServeCGI implements cgi.Handler.
func (h *Handler) ServeCGI(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	t := &turn{h: h, ctx: ctx, w: w, r: r}
	t.note, _ = w.(noter)
	for range maxRedirects + 1 {
		again, no := t.serve()
		if no != nil {
			t.refuse(no)
		}
		if again == "" {
			return
		}
		t.redirect(again)
	}
	t.refuse(refuse(http.StatusBadGateway, errRedirects, "the applications redirect in a circle; the last target is "+quoted(t.r.Target)))
}

// Refuse answers with the gateway's own page, for a front end that refuses a
// request before a handler sees it.
func (h *Handler) Refuse(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request, status int) {
	t := &turn{h: h, ctx: ctx, w: w, r: r}
	t.refuse(refuse(status, errFrontEnd, frontEndHint(status)))
}

// serve answers the request, or returns the target of a local redirect.
func (t *turn) serve() (again string, no *refusal) {
	switch t.r.Method {
	case http.MethodTrace, http.MethodConnect: // RFC 9110 §9.3.8 tells what TRACE discloses
		return "", refuse(http.StatusMethodNotAllowed, errMethod, "")
	}
	path, err := cleanPath(t.r.Path())
	if err == nil {
		err = cleanQuery(t.r.Query())
	}
	if err != nil {
		return "", refuse(pathStatus(err), err, "")
	}
	d, no := t.h.find(path)
	switch {
	case no != nil:
		return "", no
	case d.to == nil:
		return "", t.serveFile(d.file)
	}
	return t.serveBackend(d)
}

// serveFile answers with a file.
func (t *turn) serveFile(file string) *refusal {
	err := t.h.Files.Serve(t.ctx, t.w, t.r, file)
	if err == nil {
		return nil
	}
	no := refuse(static.Status(err), err, "")
	if no.status == http.StatusMethodNotAllowed {
		no.allow = static.Allow
	}
	return no
}

// serveBackend answers with what an application says.
func (t *turn) serveBackend(d decision) (again string, no *refusal) {
	t.fill(d)
	if no := t.openBody(d.route); no != nil {
		return "", no
	}
	if t.body != nil {
		t.r.Body = t.toSend()
		defer t.body.close()
	}
	return t.exchange(d.to)
}

// fill adds to the request what the route says.
func (t *turn) fill(d decision) {
	t.r.Script = d.as
	t.r.Extra = d.to.Params
	t.r.Header = withoutNominated(t.r.Header)
	root := d.to.Root
	if root == "" && t.h.Files != nil {
		root = t.h.Files.Dir()
	}
	if root != "" {
		t.r.Script.Root = root
		if d.as.Name != "" {
			t.r.Script.Filename = root + d.as.Name
		}
	}
	t.r.Informational = t.informational
}

// informational passes an interim response on. If the client is gone, the
// response itself will find out.
func (t *turn) informational(status int, h cgi.Header) {
	t.life.worker.Alive()
	t.w.WriteHeader(status, h)
}

// redirect makes the request that a local redirect stands for (RFC 3875
// §6.2.2): a GET without a body.
func (t *turn) redirect(target string) {
	r := *t.r
	r.Target, r.Body, r.Received = target, nil, nil
	if r.Method != http.MethodHead {
		r.Method = http.MethodGet
	}
	r.Header = nil
	for _, f := range t.r.Header {
		if !strings.HasPrefix(strings.ToLower(f.Name), "content-") {
			r.Header = append(r.Header, f)
		}
	}
	if _, live := t.body.(*liveBody); live {
		// The body was given up, which net/http takes for a client that has
		// gone.
		t.ctx = context.WithoutCancel(t.ctx)
	}
	t.r, t.body = &r, nil
}

// withoutNominated drops the fields that the client's Connection field names:
// they speak of its connection to us (RFC 9110 §7.6.1). What is almost always
// there, "keep-alive" and "close", names none.
func withoutNominated(h cgi.Header) cgi.Header {
	names := h.Get("Connection")
	if names == "" || strings.EqualFold(names, "keep-alive") || strings.EqualFold(names, "close") {
		return h
	}
	var kept cgi.Header
	for _, f := range h {
		if !nominated(names, f.Name) {
			kept = append(kept, f)
		}
	}
	return kept
}

func nominated(names, name string) bool {
	for n := range strings.SplitSeq(names, ",") {
		if strings.EqualFold(strings.TrimSpace(n), name) {
			return true
		}
	}
	return false
}
