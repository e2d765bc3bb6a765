package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/internal/address"
)

// listener checks an address to listen on.
func listener(s string) (wrong, hint string) {
	_, wrong, hint = parseAddress(s)
	return wrong, hint
}

// worker checks an address to connect to.
func worker(s string) (wrong, hint string) {
	at, wrong, hint := parseAddress(s)
	switch {
	case wrong != "":
	case at.Network == "fd":
		return " has " + quoted(s) + ", a descriptor, to which nothing can connect", "write unix:/path or host:port"
	case at.Network == "tcp" && strings.HasSuffix(at.Address, ":0"):
		return " has " + quoted(s) + ", and nothing listens on port 0", "write the port of the worker"
	case at.Network == "tcp" && at.Address[0] == ':':
		return " has " + quoted(s) + ", which does not name a host", "write " + quoted("127.0.0.1"+at.Address)
	}
	return wrong, hint
}

// parseAddress reads an address and says what is wrong with it.
func parseAddress(s string) (at address.Address, wrong, hint string) {
	if len(s) > maxAddress && !strings.Contains(s, "/") || len(s) > len("unix:")+maxPath {
		return at, " has " + quoted(s) + ", which is longer than any address", ""
	}
	at, err := address.Parse(s)
	switch {
	case err != nil:
		return at, ": " + err.Error(), addressHint(s)
	case at.Network == "unix":
		wrong = socketPath(at.Address)
	}
	return at, wrong, ""
}

// socketPath says what is wrong with the length of a unix socket's path. Beyond
// what the kernel takes a socket is reached by way of its folder, so that only
// its name must be short.
func socketPath(path string) (wrong string) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	switch {
	case path[0] == '@' && len(path) > maxAbstract:
		return fmt.Sprintf(" has %s, an abstract socket's name of %d bytes, want at most %d", quoted(path), len(path), maxAbstract)
	case path[0] != '@' && len(path) > maxUnixPath && len(name) > maxUnixName:
		return fmt.Sprintf(" has %s, a unix socket's name of %d bytes, want at most %d", quoted(name), len(name), maxUnixName)
	}
	return ""
}

// addressHint guesses what was meant by something that is no address.
func addressHint(s string) string {
	rest, isURL := strings.CutPrefix(s, "http://")
	if !isURL {
		rest, isURL = strings.CutPrefix(s, "tcp://")
	}
	_, notPort := strconv.ParseUint(s, 10, 16)
	switch {
	case isURL:
		rest, _, _ = strings.Cut(rest, "/")
		if _, err := address.Parse(rest); err == nil {
			return "write " + quoted(rest)
		}
	case notPort == nil:
		return "write " + quoted("127.0.0.1:"+s) + ", or " + quoted(":"+s) + " for every address of this machine"
	case net.ParseIP(strings.Trim(s, "[]")) != nil:
		return "add a port: " + quoted(net.JoinHostPort(strings.Trim(s, "[]"), "8080"))
	case strings.Count(s, ":") > 1 && s[0] != '[':
		return "put an IPv6 address in brackets"
	case s != "" && isBare(strings.ReplaceAll(s, ".", "")):
		return "add a port, or write " + quoted("unix:"+s) + " for a socket"
	}
	return ""
}
