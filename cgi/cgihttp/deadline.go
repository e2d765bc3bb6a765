package cgihttp

import (
	"io"
	"time"
)

// setTimeout sets the time in which the client must take a piece.
func (w *writer) setTimeout(d time.Duration) {
	switch {
	case d == 0:
		w.timeout = DefaultWriteTimeout
	case d > 0:
		w.timeout = d
	}
}

// armFor is arm for n bytes of body. What is short stays in net/http's buffer
// until the handler has returned and holds nothing any more.
func (w *writer) armFor(n int) {
	if w.written+int64(n) > httpBuffer {
		w.arm()
	}
}

// arm gives the client its whole time again. Over HTTP/1 that is not worth a
// timer for every write, not while most of the last one is left: what is over
// counts only for a write that waits.
func (w *writer) arm() {
	if w.timeout == 0 {
		return
	}
	now := time.Now()
	if w.http1 && now.Sub(w.armed) < w.timeout/4 {
		return
	}
	w.armed = now
	w.rc.SetWriteDeadline(now.Add(w.timeout))
}

// disarm follows what arm precedes. Over HTTP/2 a deadline breaks the stream
// when it is over, whether something waits to be written or not.
func (w *writer) disarm() {
	if !w.http1 && w.timeout != 0 && !w.armed.IsZero() {
		w.rc.SetWriteDeadline(time.Time{})
	}
}

// armLast is for what net/http sends when the handler has returned. It clears
// the deadline before the next request.
func (w *writer) armLast() {
	if w.http1 && !w.armed.IsZero() {
		w.arm()
	}
}

// copyPieces is io.Copy with the client's time for each piece and not for all
// of src. A file stays one that the kernel can copy: net looks into one
// io.LimitedReader, not into two.
func (w *writer) copyPieces(src io.Reader) (n int64, err error) {
	piece := io.LimitedReader{R: src}
	left := int64(-1)
	if limited, ok := src.(*io.LimitedReader); ok {
		piece.R, left = limited.R, limited.N
		defer func() { limited.N -= n }()
	}
	defer w.disarm()
	for left != 0 {
		w.arm()
		piece.N = writePiece
		if left > 0 {
			piece.N = min(left, writePiece)
		}
		want := piece.N
		m, err := io.Copy(w.w, &piece)
		n += m
		w.written += m
		if left > 0 {
			left -= m
		}
		if err != nil || m < want {
			return n, err
		}
	}
	return n, nil
}
