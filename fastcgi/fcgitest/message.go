package fcgitest

import (
	"slices"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
)

// A Request is all that a web server says of one request. It is what
// [Conn.ReadRequest] returns, and can be sent with Records.
type Request struct {
	ID       uint16
	Role     uint16 // zero means fastcgi.RoleResponder when it is sent
	KeepConn bool
	Params   []cgi.Field
	Body     string // of STDIN
	Data     string // of a filter's DATA
	Aborted  bool   // ABORT_REQUEST came before the end
}

// Param returns the first param of that name, or "".
func (q Request) Param(name string) string {
	for _, p := range q.Params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Records returns the request as a right web server sends it.
func (q Request) Records() []Record {
	role := q.Role
	if role == 0 {
		role = fastcgi.RoleResponder
	}
	records := slices.Concat(
		[]Record{Begin(q.ID, role, q.KeepConn)},
		Stream(fastcgi.TypeParams, q.ID, pairs(q.Params), 0),
		[]Record{Params(q.ID)},
	)
	if q.Aborted {
		return append(records, Abort(q.ID))
	}
	records = slices.Concat(records, Stream(fastcgi.TypeStdin, q.ID, q.Body, 0), []Record{Stdin(q.ID, "")})
	if role == fastcgi.RoleFilter {
		records = slices.Concat(records, Stream(fastcgi.TypeData, q.ID, q.Data, 0), []Record{Data(q.ID, "")})
	}
	return records
}

// An Answer is all that an application says to one request. It is what
// [Conn.ReadAnswer] returns, and can be sent with Records.
type Answer struct {
	ID        uint16
	Stdout    string // head and body of the CGI response
	Stderr    string
	Status    fastcgi.ProtocolStatus
	AppStatus uint32
}

// Records returns the answer as a right application sends it: STDERR first,
// if there is any.
func (a Answer) Records() []Record {
	var records []Record
	if a.Stderr != "" {
		records = append(Stream(fastcgi.TypeStderr, a.ID, a.Stderr, 0), Stderr(a.ID, ""))
	}
	return slices.Concat(records,
		Stream(fastcgi.TypeStdout, a.ID, a.Stdout, 0),
		[]Record{Stdout(a.ID, ""), EndRequest(a.ID, a.Status, a.AppStatus)})
}
