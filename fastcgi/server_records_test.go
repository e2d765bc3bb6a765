package fastcgi

import (
	"strconv"
	"strings"
)

// Records by hand, for tests in which ids and contents vary.

func recBegin(id, role uint16, keep bool) string {
	return string(AppendBegin(nil, id, Begin{Role: role, KeepConn: keep}))
}

// recPairs writes name-value pairs: name, value, name, value.
func recPairs(pairs ...string) string {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		b, _ = AppendPair(b, pairs[i], pairs[i+1])
	}
	return string(b)
}

// recParams is the PARAMS stream of a GET with some pairs more, and its end.
func recParams(id uint16, pairs ...string) string {
	all := recPairs("REQUEST_METHOD", "GET") + recPairs(pairs...)
	return string(AppendEnd(AppendStream(nil, TypeParams, id, []byte(all)), TypeParams, id))
}

// recStream is content as records of a stream, without its end.
func recStream(t Type, id uint16, content string) string {
	return string(AppendStream(nil, t, id, []byte(content)))
}

func recEnd(t Type, id uint16) string { return string(AppendEnd(nil, t, id)) }

func recAbort(id uint16) string { return string(AppendHeader(nil, TypeAbortRequest, id, 0, 0)) }

func recUpdate(id uint16, n uint32) string { return string(AppendWindowUpdate(nil, id, n)) }

// recValues is GET_VALUES.
func recValues(pairs ...string) string {
	content := recPairs(pairs...)
	return string(AppendHeader(nil, TypeGetValues, 0, uint16(len(content)), 0)) + content
}

// recWindow asks for flow control, with so many bytes for us.
func recWindow(n int) string { return recValues(FlowWindow, strconv.Itoa(n)) }

// recGet is a whole request without a body.
func recGet(id uint16, keep bool, pairs ...string) string {
	return recBegin(id, RoleResponder, keep) + recParams(id, pairs...) + recEnd(TypeStdin, id)
}

// recPost is a whole request with a body.
func recPost(id uint16, keep bool, body string, pairs ...string) string {
	pairs = append([]string{"CONTENT_LENGTH", strconv.Itoa(len(body))}, pairs...)
	return recBegin(id, RoleResponder, keep) + recParams(id, pairs...) + recStream(TypeStdin, id, body) + recEnd(TypeStdin, id)
}

// ends returns how many END_REQUEST of an id a description of replies has.
func ends(replies string, id int) int { return strings.Count(replies, "END("+strconv.Itoa(id)+" ") }
