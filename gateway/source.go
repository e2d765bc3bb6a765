package gateway

import "strings"

// alwaysSource are extensions of programs whether a route is for them or not:
// a root made for PHP must not be published as text where PHP is missing.
var alwaysSource = []string{".php", ".phtml", ".phar"}

// copies are what editors and people append to the name of a file that they keep.
var copies = []string{"~", ".bak", ".old", ".orig", ".save", ".swp"}

// isSource reports whether a file is a program and not something to be shown:
// by the extensions of the routes to backends and those denied, in upper or lower case, with the dots and blanks
// that some file systems ignore, and copies of such files.
func (h *Handler) isSource(file string) bool {
	name := strings.ToLower(file[strings.LastIndexByte(file, '/')+1:])
	for again := true; again; {
		again = false
		name = strings.TrimRight(name, ". ")
		for _, c := range copies {
			if cut, ok := strings.CutSuffix(name, c); ok {
				name, again = cut, true
			}
		}
	}
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return false
	}
	ext := name[dot:]
	for _, e := range alwaysSource {
		if ext == e {
			return true
		}
	}
	for i := range h.Routes {
		rt := &h.Routes[i]
		if (rt.Backend != nil || rt.Deny) && rt.Match.kind == matchExt && strings.HasSuffix(name, strings.ToLower(rt.Match.text)) {
			return true
		}
	}
	return false
}
