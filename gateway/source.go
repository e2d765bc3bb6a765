package gateway

import (
	"regexp"
	"strings"
)

// program finds the extension of a program in a name, at its end or before
// anything but a letter or digit: ".php" in "a.php", "a.php.bak", "a.php~",
// "a.php copy". PHP is there even if no route is for it: a root made for PHP
// must not be published as text where PHP is missing.
var program = regexp.MustCompile(`\.(php[0-9]?|phps|pht|phtml?|phar|inc)([^a-z0-9]|$)`)

// harmless are the last extensions that say of a file that it is what they
// say, whatever stands before: "a.php.txt", "jquery.php.js".
var harmless = regexp.MustCompile(`\.(txt|html?|css|js|mjs|json|xml|svg|png|jpe?g|gif|webp|avif|ico|pdf|md)$`)

// isSource reports whether a file is a program and not something to be shown,
// by its name, in upper or lower case: that of a program, or of what editors,
// packages and people make of one to keep it. Programs are what the routes
// with an extension are for, to backends or denied, and PHP.
func (h *Handler) isSource(file string) bool {
	name := strings.ToLower(file[strings.LastIndexByte(file, '/')+1:])
	switch {
	case h.isMapped(name, strings.HasSuffix):
		return true
	case harmless.MatchString(name):
		return false
	}
	return program.MatchString(name) || h.isMapped(name, hasExtension)
}

// isMapped reports whether a name has the extension of a route that keeps
// files from being shown.
func (h *Handler) isMapped(name string, has func(name, ext string) bool) bool {
	for i := range h.Routes {
		rt := &h.Routes[i]
		if (rt.Backend != nil || rt.Deny) && rt.Match.kind == matchExt && has(name, strings.ToLower(rt.Match.text)) {
			return true
		}
	}
	return false
}

// hasExtension reports whether ext ends in a name, or stands in it before
// anything but a letter or digit.
func hasExtension(name, ext string) bool {
	for from := 0; ; {
		i := strings.Index(name[from:], ext)
		if i < 0 {
			return false
		}
		from += i + len(ext)
		if from == len(name) || !isAlnum(name[from]) {
			return true
		}
	}
}

func isAlnum(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
