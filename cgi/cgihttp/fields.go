package cgihttp

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/cgi"
)

// addFields adds the fields that are not dropped to a net/http header map that
// has none of their names. The values of all that come once lie in one slice:
// room, if they fit there.
func addFields(to http.Header, fields cgi.Header, room []string, drop func(name string) bool) {
	if len(room) < len(fields) {
		room = make([]string, len(fields))
	}
	for i, f := range fields {
		if drop(f.Name) {
			continue
		}
		key, names := canonical(f.Name), len(to)
		room[i] = f.Value
		// Nearly every name is new. To look first would cost more.
		if to[key] = room[i : i+1 : i+1]; len(to) == names {
			to[key] = valuesOf(fields[:i+1], key)
		}
	}
}

// valuesOf returns the values of all fields with one name.
func valuesOf(fields cgi.Header, key string) []string {
	var values []string
	for _, f := range fields {
		if canonical(f.Name) == key {
			values = append(values, f.Value)
		}
	}
	return values
}

// canonical is http.CanonicalHeaderKey, faster for names that are as they
// should be.
func canonical(name string) string {
	allowed := &wordStart
	for i := range len(name) {
		c := name[i]
		if !allowed[c] {
			return http.CanonicalHeaderKey(name)
		}
		if allowed = &wordRest; c == '-' {
			allowed = &wordStart
		}
	}
	return name
}

// fieldsOf appends the fields of h to dst, which is empty, sorted by name.
func fieldsOf(h http.Header, dst cgi.Header) cgi.Header {
	for name, values := range h {
		for _, v := range values {
			dst = append(dst, cgi.Field{Name: name, Value: v})
		}
	}
	if len(dst) > 1 {
		slices.SortStableFunc(dst, func(a, b cgi.Field) int { return strings.Compare(a.Name, b.Name) })
	}
	return dst
}

// responseFields appends to dst, which is empty, the fields of h that can be
// sent, sorted by name: neither Content-Length, which is said elsewhere, nor
// what speaks of one connection only, nor trailers. A line break in a value
// becomes a space, as in net/http.
func responseFields(h http.Header, dst cgi.Header) cgi.Header {
	trailers := h["Trailer"]
	fields := fieldsOf(h, dst)
	kept := fields[:0]
	for _, f := range fields {
		switch {
		case f.Name == "Content-Length", cgi.HopByHop(f.Name), !isToken(f.Name):
			continue // with http.TrailerPrefix it is not a token either
		case trailers != nil && listed(trailers, f.Name):
			continue
		}
		if strings.ContainsAny(f.Value, "\r\n\x00") {
			f.Value = lineBreaks.Replace(f.Value)
		}
		kept = append(kept, f)
	}
	return kept
}

var lineBreaks = strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ")

// listed reports whether lists of field names, separated by commas, have name.
func listed(lists []string, name string) bool {
	for _, list := range lists {
		for one := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(one), name) {
				return true
			}
		}
	}
	return false
}

// isToken reports whether name may be the name of a field (RFC 9110 §5.6.2).
func isToken(name string) bool { return name != "" && tokens.all(name) }

// What the name of a field is made of, and of that what stands in a canonical
// name at the start of a word and after it.
var tokens, wordStart, wordRest = func() (tokens, start, rest byteSet) {
	for _, c := range "0123456789!#$%&'*+-.^_`|~" {
		tokens[c], start[c], rest[c] = true, true, true
	}
	for c := 'A'; c <= 'Z'; c++ {
		lower := c - 'A' + 'a'
		tokens[c], tokens[lower], start[c], rest[lower] = true, true, true, true
	}
	return tokens, start, rest
}()
