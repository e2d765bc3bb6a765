package fcgitest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/fastcgi"
	. "github.com/sluice-gateway/sluice/fastcgi/fcgitest"
)

func TestEncode(t *testing.T) {
	tests := []struct {
		name    string
		records []Record
		want    string
		text    string
	}{
		{"begin, kept", []Record{Begin(1, 1, true)}, "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x01\x01\x00\x00\x00\x00\x00", "BEGIN_REQUEST(1 role 1 flags 1)"},
		{"begin, any role, not kept", []Record{Begin(0x102, 0x304, false)}, "\x01\x01\x01\x02\x00\x08\x00\x00" + "\x03\x04\x00\x00\x00\x00\x00\x00", "BEGIN_REQUEST(258 role 772 flags 0)"},
		{"abort", []Record{Abort(1)}, "\x01\x02\x00\x01\x00\x00\x00\x00", "ABORT_REQUEST(1)"},
		{"end", []Record{EndRequest(1, 2, 0x03040506)}, "\x01\x03\x00\x01\x00\x08\x00\x00" + "\x03\x04\x05\x06\x02\x00\x00\x00", "END_REQUEST(1 OVERLOADED exit 50595078)"},
		{"params", []Record{Params(1, "A=b=c", "D")}, "\x01\x04\x00\x01\x00\x09\x00\x00" + "\x01\x03Ab=c" + "\x01\x00D", `PARAMS(1 "A=b=c" "D=")`},
		{"end of params", []Record{Params(1)}, "\x01\x04\x00\x01\x00\x00\x00\x00", "PARAMS(1)"},
		{"streams", []Record{Stdin(1, "a"), Stdout(2, "b"), Stderr(3, ""), Data(4, "d")}, "\x01\x05\x00\x01\x00\x01\x00\x00a" + "\x01\x06\x00\x02\x00\x01\x00\x00b" + "\x01\x07\x00\x03\x00\x00\x00\x00" + "\x01\x08\x00\x04\x00\x01\x00\x00d", ""},
		{"stream in pieces", Stream(fastcgi.TypeStdin, 1, "abc", 2), "\x01\x05\x00\x01\x00\x02\x00\x00ab" + "\x01\x05\x00\x01\x00\x01\x00\x00c", ""},
		{"values", []Record{GetValues("X"), GetValuesResult("X=1")}, "\x01\x09\x00\x00\x00\x03\x00\x00\x01\x00X" + "\x01\x0a\x00\x00\x00\x04\x00\x00\x01\x01X1", ""},
		{"unknown type", []Record{UnknownType(77)}, "\x01\x0b\x00\x00\x00\x08\x00\x00" + "M\x00\x00\x00\x00\x00\x00\x00", "UNKNOWN_TYPE(0 type 77)"},
		{"version", []Record{Stdin(1, "a").WithVersion(0)}, "\x00\x05\x00\x01\x00\x01\x00\x00a", `STDIN(1 "a") of version 0`},
		{"padding", []Record{Stdin(1, "a").WithPadding(3)}, "\x01\x05\x00\x01\x00\x01\x03\x00a\xff\xff\xff", `STDIN(1 "a") + 3`},
		{"reserved", []Record{Stdin(1, "a").WithReserved(7)}, "\x01\x05\x00\x01\x00\x01\x00\x07a", `STDIN(1 "a")`},
		{"length", []Record{Stdin(1, "a").WithLength(0)}, "\x01\x05\x00\x01\x00\x00\x00\x00a", `STDIN(1 "a") that claims 0 bytes`},
		{"cut in the header", []Record{Stdin(1, "a").Cut(3)}, "\x01\x05\x00", `STDIN(1 "a") cut at 3`},
		{"cut at the end", []Record{Stdin(1, "abc").WithPadding(1).Cut(-2)}, "\x01\x05\x00\x01\x00\x03\x01\x00ab", `STDIN(1 "abc") + 1 cut at -2`},
		{"cut to nothing", []Record{Stdin(1, "abc").Cut(-99), Stdin(1, "").Cut(99)}, "\x01\x05\x00\x01\x00\x00\x00\x00", ""},
		{"request", Request{ID: 1, Params: Fields("A=b"), Body: "c"}.Records(), "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00" +
			"\x01\x04\x00\x01\x00\x04\x00\x00\x01\x01Ab" + "\x01\x04\x00\x01\x00\x00\x00\x00" + "\x01\x05\x00\x01\x00\x01\x00\x00c" + "\x01\x05\x00\x01\x00\x00\x00\x00", ""},
		{"request to a filter", Request{ID: 1, Role: 3, Data: "d"}.Records()[3:], "\x01\x08\x00\x01\x00\x01\x00\x00d" + "\x01\x08\x00\x01\x00\x00\x00\x00", ""},
		{"aborted request", Request{ID: 1, Aborted: true}.Records()[1:], "\x01\x04\x00\x01\x00\x00\x00\x00" + "\x01\x02\x00\x01\x00\x00\x00\x00", ""},
		{"answer", Answer{ID: 1, Stdout: "a"}.Records(), "\x01\x06\x00\x01\x00\x01\x00\x00a" + "\x01\x06\x00\x01\x00\x00\x00\x00" + "\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", ""},
		{"answer with stderr", Answer{ID: 1, Stderr: "e"}.Records()[:2], "\x01\x07\x00\x01\x00\x01\x00\x00e" + "\x01\x07\x00\x01\x00\x00\x00\x00", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(Encode(tt.records...)); got != tt.want {
				t.Errorf("Encode = %q\nwant %q", got, tt.want)
			}
			if got := tt.records[0].String(); tt.text != "" && got != tt.text {
				t.Errorf("String = %s, want %s", got, tt.text)
			}
		})
	}
}

func TestLongestRecord(t *testing.T) {
	r := Stdout(1, strings.Repeat("x", fastcgi.MaxContent)).WithPadding(255)
	if n := len(Encode(r)); n != 8+65535+255 {
		t.Errorf("Encode of the longest record = %d bytes", n)
	}
	r.Content += "x"
	if n := len(Encode(r.WithLength(1))); n != 8+65536+255 {
		t.Errorf("Encode of a longer one that claims 1 byte = %d bytes", n)
	}
	defer func() {
		if v, _ := recover().(string); !strings.Contains(v, "65536 bytes of content") {
			t.Errorf("panic(%q), want one that names the length", v)
		}
	}()
	Encode(r)
}

// What is read back is what was sent, whole.
func TestReadBack(t *testing.T) {
	sent := []Record{Begin(1, 1, true).WithPadding(255), Params(1, "A=b"), Params(1), Stdin(1, strings.Repeat("x", 65535)).WithPadding(1), Stdin(1, "")}
	app := Application(t, func(c *Conn) {
		for i, want := range sent {
			if got := c.Read(); got != want {
				c.Errorf("record %d = %v, want %v", i, got, want)
			}
		}
		c.Send(sent...)
		q := c.ReadRequest()
		if q.ID != 1 || q.Role != 1 || !q.KeepConn || q.Aborted || len(q.Params) != 1 || q.Param("A") != "b" || q.Param("B") != "" || len(q.Body) != 65535 {
			c.Errorf("request = %+v", q)
		}
	})
	c := Dial(t, app.Network, app.Address)
	c.Dribble(1000, sent...)
	var all []Record
	for range sent {
		all = append(all, c.Read())
	}
	if !slices.Equal(all, sent) {
		t.Errorf("came back as %v", all)
	}
	c.Send(sent...)
	c.ExpectClosed()
	if n := app.Accepts(); n != 1 {
		t.Errorf("Accepts = %d, want 1", n)
	}
}
