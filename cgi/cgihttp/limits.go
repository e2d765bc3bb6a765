package cgihttp

import "time"

// Bounds of a FrontEnd whose fields are zero.
const (
	// DefaultMaxHeaderBytes bounds the request line and the header fields,
	// in bytes. Browsers keep at most 4 KiB per cookie; nginx takes 4 times
	// 8 KiB. http.Server.MaxHeaderBytes must be larger, or net/http answers
	// 431 before the FrontEnd can (its default is 1 MiB).
	DefaultMaxHeaderBytes = 32 << 10

	// DefaultMaxFields bounds the number of header fields. Browsers send
	// about 20; Apache allows 100, which proxies that add fields have met.
	DefaultMaxFields = 200

	// DefaultWriteTimeout bounds the time in which a client must take a piece
	// of the response. nginx's send_timeout is the same.
	DefaultWriteTimeout = 60 * time.Second
)

const (
	// shownTarget is how much is kept of a target that is too long, for logs.
	shownTarget = 1 << 10

	// httpBuffer is what net/http gathers of a response before it sends.
	httpBuffer = 2 << 10

	// writePiece is how much of a file is sent in one WriteTimeout, in bytes: a
	// client with 5 kB/s gets it.
	writePiece = 256 << 10

	// bufferedReply is how much of an application's body is held back to
	// learn its length. A reply that fits leaves with Content-Length.
	bufferedReply = 4 << 10

	// keptLine bounds what is kept of the memory of a line of LogHandler, in
	// bytes. A panic with its stack may be longer, and is rare.
	keptLine = 16 << 10

	// linger bounds how long net/http may go on reading a request body that
	// nobody wants, after the answer is out. Closing at once would make the
	// kernel send RST, which can delete the answer at the client's end
	// (RFC 9112 §9.6); net/http itself bounds the bytes.
	linger = 5 * time.Second

	// abortFlush bounds how long the beginning of a broken answer may take
	// on its way out, if the client does not read.
	abortFlush = time.Second
)

// orDefault reads a limit: zero means the default, negative no limit.
func orDefault(v, def int) int {
	switch {
	case v == 0:
		return def
	case v < 0:
		return int(^uint(0) >> 1)
	}
	return v
}
