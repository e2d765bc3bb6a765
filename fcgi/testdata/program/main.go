// Program is an application as people write them for net/http/fcgi. The test
// compiles it twice, the second time with the other import path.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/fcgi"
)

func main() {
	http.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s, you are %s\n", r.PathValue("name"), fcgi.ProcessEnv(r)["REMOTE_USER"])
	})
	http.HandleFunc("POST /form", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "last", Value: r.PostForm.Get("a")})
		http.Redirect(w, r, "/hello/"+r.PostForm.Get("a"), http.StatusSeeOther)
	})
	http.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		switch {
		case errors.Is(err, fcgi.ErrRequestAborted), errors.Is(err, fcgi.ErrConnClosed):
			return
		case err != nil:
			log.Fatal(err)
		}
		w.Header().Set("X-Request", fmt.Sprint(r.Method, " ", r.URL, " ", r.Host, " ", r.RemoteAddr, " ", r.TLS != nil, " ", r.Header.Get("User-Agent")))
		w.Write(b)
	})
	http.Handle("/", http.FileServer(http.Dir("testdata")))
	log.Fatal(fcgi.Serve(nil, nil))
}
