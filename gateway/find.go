package gateway

import (
	"errors"
	"io/fs"
	"net/http"
	"strings"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/static"
)

// A decision says who answers a path.
type decision struct {
	route *Route     // nil if no route matched
	to    *Backend   // nil: the file
	file  string     // path of the file, or of a folder to be redirected to
	as    cgi.Script // Name and PathInfo
}

// find decides who answers a path that cleanPath returned. The first route
// that matches does; what no route wants is a file.
func (h *Handler) find(path string) (decision, *refusal) {
	l := &look{files: h.Files, path: path}
	for i := range h.Routes {
		rt := &h.Routes[i]
		if !rt.Match.matches(path) {
			continue
		}
		d, ok, no := h.apply(rt, l)
		if no != nil || ok {
			return d, no
		}
	}
	return h.file(nil, l)
}

// apply tries a route whose pattern matches. ok is false if the files say that
// it is not one for the path after all.
func (h *Handler) apply(rt *Route, l *look) (d decision, ok bool, no *refusal) {
	switch {
	case rt.Deny:
		return d, false, refuse(http.StatusForbidden, errDenied, "the route "+quoted(rt.Match.String())+" denies it")
	case rt.Files:
		d, no = h.file(rt, l)
		return d, true, no
	case rt.Backend == nil:
		return d, false, nil
	case h.Files == nil || !rt.CheckLocal && rt.Fallback == "":
		return decision{route: rt, to: rt.Backend, as: rt.remote(l.path)}, true, nil
	}
	return h.local(rt, l)
}

// remote splits a path without looking at files.
func (rt *Route) remote(path string) cgi.Script {
	end := len(rt.Match.mount())
	switch {
	case rt.Match.kind == matchExt:
		end = scriptEnd(path, rt.Match.text)
	case rt.Fallback != "":
		return cgi.Script{Name: rt.Fallback}
	}
	return cgi.Script{Name: path[:end], PathInfo: path[end:]}
}

// local splits a path by what is in the root.
func (h *Handler) local(rt *Route, l *look) (d decision, ok bool, no *refusal) {
	isExt := rt.Match.kind == matchExt
	file, rest, folder, err := l.split()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if rt.Fallback != "" {
			return h.fallback(rt)
		}
		return d, false, refuse(http.StatusNotFound, err, "the script is not below the root; check_local = false would ask the application all the same")
	case err != nil:
		return d, false, refuse(static.Status(err), err, "")
	case folder && isExt, !folder && !rt.Match.names(file):
		return d, false, nil // as in /logo.jpg/x.php: there is no x.php
	case folder:
		d, no = h.folder(rt, l)
		if no != nil && no.status == http.StatusForbidden && rt.Fallback != "" {
			return h.fallback(rt)
		}
		return d, true, no
	case isExt, rt.CheckLocal:
		return decision{route: rt, to: rt.Backend, as: cgi.Script{Name: file, PathInfo: rest}}, true, nil
	case rest != "":
		return h.fallback(rt)
	}
	d, no = h.file(rt, l)
	return d, true, no
}

// fallback hands the request to the front controller of a route.
func (h *Handler) fallback(rt *Route) (decision, bool, *refusal) {
	_, rest, info, err := h.Files.Split(rt.Fallback)
	if err == nil && (rest != "" || info.IsDir()) {
		err = &fs.PathError{Op: "gateway: find fallback", Path: rt.Fallback, Err: static.ErrNotRegular}
	}
	if err != nil {
		return decision{}, false, refuse(static.Status(err), err, "the fallback of route "+quoted(rt.Match.String())+" must be a file below the root")
	}
	return decision{route: rt, to: rt.Backend, as: cgi.Script{Name: rt.Fallback}}, true, nil
}

// file decides that a path is a file, or a folder with an index.
func (h *Handler) file(rt *Route, l *look) (decision, *refusal) {
	if h.Files == nil {
		return decision{}, refuse(http.StatusNotFound, errNoRoute, "no route matches and there is no root; a route with the path \"\" would take everything")
	}
	file, rest, folder, err := l.split()
	switch {
	case err != nil:
		return decision{}, refuse(static.Status(err), err, "")
	case folder:
		return h.folder(rt, l)
	case rest != "":
		return decision{}, refuse(http.StatusNotFound, errBelowFile, "")
	case h.isSource(file):
		return decision{}, refuse(http.StatusNotFound, errSource, "a route for its extension and a backend would run it")
	}
	return decision{route: rt, file: file}, nil
}

// folder looks for the index of a folder. The index is routed like any path,
// because it may be a script, but not a second time.
func (h *Handler) folder(rt *Route, l *look) (decision, *refusal) {
	if !strings.HasSuffix(l.path, "/") {
		return decision{route: rt, file: l.path}, nil // static redirects
	}
	for _, name := range h.Index {
		path := l.path + name
		if _, rest, info, err := h.Files.Split(path); err == nil && rest == "" && !info.IsDir() {
			return h.find(path)
		}
	}
	return decision{}, refuse(http.StatusForbidden, static.ErrFolder, "put one of the files of index there; lists of files are not made")
}

// A look asks the file system about a path, at most once.
type look struct {
	files      *static.Files
	path       string
	done       bool
	file, rest string
	folder     bool
	err        error
}

func (l *look) split() (file, rest string, folder bool, err error) {
	if !l.done {
		var info fs.FileInfo
		l.file, l.rest, info, l.err = l.files.Split(l.path)
		l.folder = l.err == nil && info.IsDir()
		l.done = true
	}
	return l.file, l.rest, l.folder, l.err
}
