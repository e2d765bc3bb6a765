package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/sluice-gateway/sluice/bench/pattern"
	"github.com/sluice-gateway/sluice/cgi"
)

// bulk sends /down?BYTES, and says of the body of /up, and of the param BIG of /params, how long it is and its
// checksum.
func bulk(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	sum := pattern.NewSum()
	var n int64
	var err error
	switch r.Path() {
	case "/down":
		n, err = strconv.ParseInt(r.Query(), 10, 64)
		if err == nil {
			_, err = io.Copy(w, &pattern.Body{Left: n})
		}
		if err != nil {
			w.Abort()
		}
		return
	case "/up":
		n, err = io.Copy(sum, r.Body)
	case "/params":
		big, _ := r.Param("BIG")
		n = int64(len(big))
		io.WriteString(sum, big)
	}
	fmt.Fprintf(w, "%d %d %v", n, sum.Sum32(), err)
}
