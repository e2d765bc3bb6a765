package cgi

import (
	"iter"
	"strings"
)

// variablePrefix marks the header fields of an authorizer's answer that become
// params of the request it lets pass (FastCGI 1.0 §6.3).
const variablePrefix = "Variable-"

// Allow is the answer of an authorizer that lets a request pass. Each variable
// becomes a param of the request, by its name. A name that cannot stand in a
// header field is an error that wraps ErrMalformed.
func Allow(w ResponseWriter, variables ...Field) error {
	h := make(Header, len(variables))
	for i, v := range variables {
		h[i] = Field{variablePrefix + v.Name, v.Value}
	}
	return w.WriteHeader(200, h)
}

// Allows reports whether h is an authorizer's answer that lets a request pass.
// Any other is the answer for the client.
func (h Head) Allows() bool { return h.Status == 200 }

// Variables yields what an authorizer adds to the params of the request.
func (h Head) Variables() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, f := range h.Header {
			if len(f.Name) <= len(variablePrefix) || !strings.EqualFold(f.Name[:len(variablePrefix)], variablePrefix) {
				continue
			}
			if !yield(f.Name[len(variablePrefix):], f.Value) {
				return
			}
		}
	}
}
