package cgihttp

import (
	"io"
	"time"
)

// start forgets the deadline that the last request of the connection left.
func (w *writer) start(timeout time.Duration) {
	if timeout < 0 {
		return
	}
	if timeout == 0 {
		timeout = DefaultWriteTimeout
	}
	w.timeout = timeout
	if w.http1 {
		w.rc.SetWriteDeadline(time.Time{}) // not supported only by fakes
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
	if w.timeout != 0 && !w.http1 {
		w.rc.SetWriteDeadline(time.Time{})
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
