package cgi

// Bounds of what a HeadParser takes when its fields are zero.
const (
	// DefaultMaxHead bounds the head of a response, in bytes. nginx's 4 or
	// 8 KiB are the cause of its "too big header" errors; frameworks that
	// keep sessions in cookies pass 16 KiB.
	DefaultMaxHead = 64 << 10

	// DefaultMaxFields bounds the number of header fields of a response.
	DefaultMaxFields = 1000
)
