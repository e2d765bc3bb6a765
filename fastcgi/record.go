package fastcgi

import (
	"encoding/binary"
	"fmt"
)

// MaxContent is the largest content of one record, in bytes: its length is
// written in 16 bits (FastCGI 1.0 §3.3).
const MaxContent = 65535

// headerLen is the length of what stands before the content of a record.
const headerLen = 8

const version = 1

// A Type is the type of a record (FastCGI 1.0 §8).
type Type uint8

// The record types. Those with request id 0 are management records.
const (
	TypeBeginRequest    Type = 1
	TypeAbortRequest    Type = 2
	TypeEndRequest      Type = 3
	TypeParams          Type = 4
	TypeStdin           Type = 5
	TypeStdout          Type = 6
	TypeStderr          Type = 7
	TypeData            Type = 8
	TypeGetValues       Type = 9
	TypeGetValuesResult Type = 10
	TypeUnknownType     Type = 11

	// TypeWindowUpdate is not of FastCGI 1.0: see [FlowWindow].
	TypeWindowUpdate Type = 40
)

var typeNames = [...]string{
	TypeBeginRequest: "BEGIN_REQUEST", TypeAbortRequest: "ABORT_REQUEST", TypeEndRequest: "END_REQUEST",
	TypeParams: "PARAMS", TypeStdin: "STDIN", TypeStdout: "STDOUT", TypeStderr: "STDERR", TypeData: "DATA",
	TypeGetValues: "GET_VALUES", TypeGetValuesResult: "GET_VALUES_RESULT", TypeUnknownType: "UNKNOWN_TYPE",
	TypeWindowUpdate: "WINDOW_UPDATE",
}

func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// stream reports whether records of this type carry pieces of a stream, which
// an empty record ends.
func (t Type) stream() bool { return t >= TypeParams && t <= TypeData }

// AppendHeader appends the header of a record. The content, length bytes, and
// padding bytes must follow. That the length is a uint16 is on purpose: a
// length that was cut to 16 bits lets the rest of a body be read as records.
func AppendHeader(dst []byte, t Type, id, length uint16, padding uint8) []byte {
	return append(dst, version, byte(t), byte(id>>8), byte(id), byte(length>>8), byte(length), padding, 0)
}

// AppendStream appends p as records of a stream, as many as it takes and none
// if p is empty: an empty record would end the stream.
func AppendStream(dst []byte, t Type, id uint16, p []byte) []byte {
	for len(p) > 0 {
		n := min(len(p), maxPiece)
		dst = AppendHeader(dst, t, id, uint16(n), 0)
		dst = append(dst, p[:n]...)
		p = p[n:]
	}
	return dst
}

// AppendEnd appends the empty record that ends a stream.
func AppendEnd(dst []byte, t Type, id uint16) []byte { return AppendHeader(dst, t, id, 0, 0) }

// Roles of BEGIN_REQUEST (FastCGI 1.0 §5.1).
const (
	RoleResponder  uint16 = 1
	RoleAuthorizer uint16 = 2
	RoleFilter     uint16 = 3
)

const flagKeepConn = 1

// A Begin is the content of BEGIN_REQUEST.
type Begin struct {
	Role     uint16
	KeepConn bool // the application must leave the connection open after its answer
}

// AppendBegin appends a BEGIN_REQUEST record.
func AppendBegin(dst []byte, id uint16, b Begin) []byte {
	var flags byte
	if b.KeepConn {
		flags = flagKeepConn
	}
	dst = AppendHeader(dst, TypeBeginRequest, id, 8, 0)
	return append(dst, byte(b.Role>>8), byte(b.Role), flags, 0, 0, 0, 0, 0)
}

// setKeep changes the BEGIN_REQUEST record that b starts with.
func setKeep(b []byte, keep bool) {
	b[headerLen+2] = 0
	if keep {
		b[headerLen+2] = flagKeepConn
	}
}

// setID changes the request id of the record that b starts with.
func setID(b []byte, id uint16) { binary.BigEndian.PutUint16(b[2:], id) }

// recordLen returns the length of that record.
func recordLen(b []byte) int { return headerLen + int(binary.BigEndian.Uint16(b[4:])) + int(b[6]) }

// ParseBegin reads the content of BEGIN_REQUEST. A length other than 8 is an
// error that wraps ErrMalformed.
func ParseBegin(content []byte) (Begin, error) {
	if len(content) != 8 {
		return Begin{}, fmt.Errorf("%w: BEGIN_REQUEST of %d bytes, want 8", ErrMalformed, len(content))
	}
	return Begin{Role: binary.BigEndian.Uint16(content), KeepConn: content[2]&flagKeepConn != 0}, nil
}

// A ProtocolStatus says how the application took a request (FastCGI 1.0 §5.5).
type ProtocolStatus uint8

// The protocol statuses of END_REQUEST.
const (
	RequestComplete ProtocolStatus = 0
	CantMultiplex   ProtocolStatus = 1
	Overloaded      ProtocolStatus = 2
	UnknownRole     ProtocolStatus = 3
)

func (s ProtocolStatus) String() string {
	switch s {
	case RequestComplete:
		return "REQUEST_COMPLETE"
	case CantMultiplex:
		return "CANT_MPX_CONN"
	case Overloaded:
		return "OVERLOADED"
	case UnknownRole:
		return "UNKNOWN_ROLE"
	}
	return fmt.Sprintf("protocol status %d", uint8(s))
}

// An End is the content of END_REQUEST.
type End struct {
	AppStatus uint32 // what a CGI program would have passed to exit
	Status    ProtocolStatus
}

// AppendEndRequest appends an END_REQUEST record.
func AppendEndRequest(dst []byte, id uint16, e End) []byte {
	dst = AppendHeader(dst, TypeEndRequest, id, 8, 0)
	dst = binary.BigEndian.AppendUint32(dst, e.AppStatus)
	return append(dst, byte(e.Status), 0, 0, 0)
}

// ParseEnd reads the content of END_REQUEST. A length other than 8 is an error
// that wraps ErrMalformed.
func ParseEnd(content []byte) (End, error) {
	if len(content) != 8 {
		return End{}, fmt.Errorf("%w: END_REQUEST of %d bytes, want 8", ErrMalformed, len(content))
	}
	return End{binary.BigEndian.Uint32(content), ProtocolStatus(content[4])}, nil
}
