// Package demo is the application of "sluice demo": what its workers serve.
package demo

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"iter"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/cgi/cgihttp"
)

//go:embed page.html
var pageSource string

var page = template.Must(template.New("page").Parse(pageSource))

// Lines and Pause say what the streamed response is made of.
const (
	Lines = 10
	Pause = 200 * time.Millisecond
)

// Handler returns the application. It counts the requests of this process.
func Handler() http.Handler {
	a := &application{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.index)
	mux.HandleFunc("POST /upload", a.upload)
	mux.HandleFunc("GET /whoami", a.whoami)
	mux.HandleFunc("GET /stream", a.stream)
	return a.counted(mux)
}

type application struct{ count atomic.Int64 }

func (a *application) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.count.Add(1)
		next.ServeHTTP(w, r)
	})
}

// view is what the page shows.
type view struct {
	PID    int
	Count  int64
	Upload *upload
	Params iter.Seq2[string, string]
}

type upload struct {
	Word, Name, Sum string
	Size            int64
}

func (a *application) index(w http.ResponseWriter, r *http.Request) { a.show(w, r, nil) }

func (a *application) show(w http.ResponseWriter, r *http.Request, u *upload) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	page.Execute(w, view{os.Getpid(), a.count.Load(), u, cgihttp.Params(r)})
}

// upload reads the form as it comes, without keeping the file.
func (a *application) upload(w http.ResponseWriter, r *http.Request) {
	form, err := r.MultipartReader()
	if err != nil {
		http.Error(w, "This address takes the form of the demo page.", http.StatusBadRequest)
		return
	}
	u := &upload{}
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			http.Error(w, "The form did not arrive whole.", http.StatusBadRequest)
			return
		}
		switch part.FormName() {
		case "word":
			word, _ := io.ReadAll(io.LimitReader(part, 1000))
			u.Word = string(word)
		case "file":
			sum := sha256.New()
			u.Name = part.FileName()
			if u.Size, err = io.Copy(sum, part); err != nil {
				http.Error(w, "The file did not arrive whole.", http.StatusBadRequest)
				return
			}
			u.Sum = hex.EncodeToString(sum.Sum(nil))
		}
	}
	a.show(w, r, u)
}

func (a *application) whoami(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(map[string]int64{"pid": int64(os.Getpid()), "count": a.count.Load()})
}

// stream writes a line, sends it, waits, and stops when nobody listens.
func (a *application) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	tick := time.NewTicker(Pause)
	defer tick.Stop()
	for i := 1; i <= Lines; i++ {
		fmt.Fprintf(w, "line %d of %d, from process %d\n", i, Lines, os.Getpid())
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}
