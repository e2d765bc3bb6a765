package accept

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
)

func TestWebServers(t *testing.T) {
	tests := []struct {
		value string
		want  string // prefixes, or ERROR and the entry that is wrong
	}{
		{"", "[]"},
		{" , ,", "[]"},
		{"192.0.2.1", "[192.0.2.1/32]"},
		{" 192.0.2.1 ,\t10.0.0.0/8,", "[192.0.2.1/32 10.0.0.0/8]"},
		{"2001:db8::1,fe80::/10", "[2001:db8::1/128 fe80::/10]"},
		{"::ffff:192.0.2.1", "[192.0.2.1/32]"},
		{"::ffff:192.0.2.0/120", "[192.0.2.0/24]"},
		{"::ffff:0.0.0.0/96", "[0.0.0.0/0]"},
		{"0.0.0.0/0,::/0", "[0.0.0.0/0 ::/0]"},
		{"192.0.2.7/24", "[192.0.2.7/24]"},
		{"::ffff:0.0.0.0/95", `ERROR "::ffff:0.0.0.0/95"`},
		{"localhost", `ERROR "localhost"`},
		{"192.0.2.1,192.0.2", `ERROR "192.0.2"`},
		{"192.0.2.0/33", `ERROR "192.0.2.0/33"`},
		{"192.0.2.1:9000", `ERROR "192.0.2.1:9000"`},
		{"[::1]", `ERROR "[::1]"`},
		{"192.0.2.1 192.0.2.2", `ERROR "192.0.2.1 192.0.2.2"`},
		{"010.0.0.1", `ERROR "010.0.0.1"`}, // octal to some, decimal to others
		{"/", `ERROR "/"`},
	}
	for _, tt := range tests {
		t.Setenv(WebServersVariable, tt.value)
		list, err := WebServers()
		got := fmt.Sprint(list)
		want := tt.want
		if err != nil {
			got = err.Error()
			want = fmt.Sprintf("FCGI_WEB_SERVER_ADDRS: %s is no IP address and no network", tt.want[min(6, len(tt.want)):])
		}
		if got != want {
			t.Errorf("%q: %s, want %s", tt.value, got, want)
		}
		if tt.want == "[]" && list != nil {
			t.Errorf("%q: the list is empty and not nil: nobody could connect", tt.value)
		}
	}
}

func TestAllowed(t *testing.T) {
	some := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("fe80::/10")}
	tcp := func(s string) net.Addr {
		a := netip.MustParseAddr(s)
		return &net.TCPAddr{IP: a.AsSlice(), Zone: a.Zone()}
	}
	tests := []struct {
		name string
		from []netip.Prefix
		peer net.Addr
		want bool
	}{
		{"anybody", nil, tcp("198.51.100.1"), true},
		{"nobody", []netip.Prefix{}, tcp("192.0.2.1"), false},
		{"nobody, but a unix socket", []netip.Prefix{}, &net.UnixAddr{}, true},
		{"first address", some, tcp("192.0.2.0"), true},
		{"last address", some, tcp("192.0.2.255"), true},
		{"one before", some, tcp("192.0.1.255"), false},
		{"one behind", some, tcp("192.0.3.0"), false},
		{"in 16 bytes", some, &net.TCPAddr{IP: net.ParseIP("192.0.2.1").To16()}, true},
		{"in 4 bytes", some, &net.TCPAddr{IP: net.ParseIP("192.0.2.1").To4()}, true},
		{"IPv6", some, tcp("2001:db8:1::1"), true},
		{"another IPv6", some, tcp("2001:db9::1"), false},
		{"with a zone", some, tcp("fe80::1%eth0"), true},
		{"no address", some, &net.TCPAddr{}, false},
	}
	for _, tt := range tests {
		if got := allowed(tt.from, tt.peer); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
