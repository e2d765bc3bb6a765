package fcgitest

import (
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
)

// Begin is BEGIN_REQUEST. Without keep the application is asked to close the
// connection after its answer.
func Begin(id, role uint16, keep bool) Record {
	b := fastcgi.AppendBegin(nil, id, fastcgi.Begin{Role: role, KeepConn: keep})
	return Record{Type: fastcgi.TypeBeginRequest, ID: id, Content: string(b[headerLen:])}
}

// Abort is ABORT_REQUEST.
func Abort(id uint16) Record { return Record{Type: fastcgi.TypeAbortRequest, ID: id} }

// EndRequest is END_REQUEST.
func EndRequest(id uint16, status fastcgi.ProtocolStatus, appStatus uint32) Record {
	b := fastcgi.AppendEndRequest(nil, id, fastcgi.End{Status: status, AppStatus: appStatus})
	return Record{Type: fastcgi.TypeEndRequest, ID: id, Content: string(b[headerLen:])}
}

// Params is a record of PARAMS that holds the given params, written as
// "NAME=value". Without any it ends the stream.
func Params(id uint16, params ...string) Record {
	return Record{Type: fastcgi.TypeParams, ID: id, Content: pairs(Fields(params...))}
}

// Stdin is a record of STDIN; an empty one ends the stream. The same goes for
// [Data], [Stdout] and [Stderr].
func Stdin(id uint16, content string) Record {
	return Record{Type: fastcgi.TypeStdin, ID: id, Content: content}
}

// Data is a record of DATA, the file that a filter is given.
func Data(id uint16, content string) Record {
	return Record{Type: fastcgi.TypeData, ID: id, Content: content}
}

// Stdout is a record of STDOUT.
func Stdout(id uint16, content string) Record {
	return Record{Type: fastcgi.TypeStdout, ID: id, Content: content}
}

// Stderr is a record of STDERR.
func Stderr(id uint16, content string) Record {
	return Record{Type: fastcgi.TypeStderr, ID: id, Content: content}
}

// Stream cuts content into records of n bytes, or of as many as fit if n is 0.
// It does not end the stream.
func Stream(t fastcgi.Type, id uint16, content string, n int) []Record {
	if n <= 0 {
		n = fastcgi.MaxContent
	}
	var records []Record
	for content != "" {
		piece := content[:min(n, len(content))]
		content = content[len(piece):]
		records = append(records, Record{Type: t, ID: id, Content: piece})
	}
	return records
}

// GetValues is GET_VALUES, the question for the named variables.
func GetValues(names ...string) Record {
	return Record{Type: fastcgi.TypeGetValues, Content: pairs(Fields(names...))}
}

// GetValuesResult is the answer to it, with variables as "NAME=value".
func GetValuesResult(values ...string) Record {
	return Record{Type: fastcgi.TypeGetValuesResult, Content: pairs(Fields(values...))}
}

// UnknownType is the answer to a management record of type t, which the
// application does not know.
func UnknownType(t fastcgi.Type) Record {
	return Record{Type: fastcgi.TypeUnknownType, Content: string([]byte{byte(t), 0, 0, 0, 0, 0, 0, 0})}
}

// Fields makes fields of "NAME=value". What has no "=" is a name without a
// value.
func Fields(params ...string) []cgi.Field {
	var fields []cgi.Field
	for _, p := range params {
		name, value, _ := strings.Cut(p, "=")
		fields = append(fields, cgi.Field{Name: name, Value: value})
	}
	return fields
}

// pairs encodes fields as name-value pairs (FastCGI 1.0 §3.4).
func pairs(fields []cgi.Field) string {
	var b []byte
	for _, f := range fields {
		var err error
		if b, err = fastcgi.AppendPair(b, f.Name, f.Value); err != nil {
			panic(fmt.Sprintf("fcgitest: param %.40q: %v", f.Name, err))
		}
	}
	return string(b)
}
