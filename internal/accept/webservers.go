package accept

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
)

// WebServersVariable names the environment variable that lists who may connect
// over TCP (FastCGI 1.0 §3.2).
const WebServersVariable = "FCGI_WEB_SERVER_ADDRS"

// WebServers reads FCGI_WEB_SERVER_ADDRS: IP addresses, and networks such as
// 10.0.0.0/8, with commas between them. If there are none the result is nil. An entry that is neither is an error, because to leave it out could
// let in, or keep out, the wrong ones.
func WebServers() ([]netip.Prefix, error) {
	var list []netip.Prefix
	for entry := range strings.SplitSeq(os.Getenv(WebServersVariable), ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		p, err := parsePrefix(entry)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is no IP address and no network", WebServersVariable, entry)
		}
		list = append(list, p)
	}
	return list, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err == nil && p.Addr().Is4In6() { // an IPv4 address is not in it
			if p.Bits() < 96 {
				return netip.Prefix{}, errors.New("more than the IPv4 addresses")
			}
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		return p, err
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// allowed reports whether a peer may connect.
func allowed(from []netip.Prefix, peer net.Addr) bool {
	tcp, ok := peer.(*net.TCPAddr)
	if from == nil || !ok {
		return true
	}
	a := tcp.AddrPort().Addr().Unmap().WithZone("")
	for _, p := range from {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
