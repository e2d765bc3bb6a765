package scgi

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
)

// The request of the specification, section 4.
const (
	deepHeaders = "70:CONTENT_LENGTH\x0027\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00REQUEST_URI\x00/deepthought\x00,"
	deepBody    = "What is the answer to life?"
)

func seq(fields ...string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i := 0; i < len(fields); i += 2 {
			if !yield(fields[i], fields[i+1]) {
				return
			}
		}
	}
}

func TestAppendHeaders(t *testing.T) {
	long := strings.Repeat("v", 970)
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprint("N", i), "")
	}
	tests := []struct {
		name   string
		length int64
		params []string
		max    int
		want   string
		err    error
		text   string
	}{
		{"of the specification", 27, []string{"REQUEST_METHOD", "POST", "REQUEST_URI", "/deepthought"}, 0, deepHeaders, nil, ""},
		{"no params, no body", 0, nil, 0, "24:CONTENT_LENGTH\x000\x00SCGI\x001\x00,", nil, ""},
		{"longest length", 9223372036854775807, nil, 0, "42:CONTENT_LENGTH\x009223372036854775807\x00SCGI\x001\x00,", nil, ""},
		{"length in the params", 7, []string{"A", "1", "CONTENT_LENGTH", "8", "B", "2"}, 0, "32:CONTENT_LENGTH\x007\x00SCGI\x001\x00A\x001\x00B\x002\x00,", nil, ""},
		{"version in the params", 0, []string{"SCGI", "2"}, 0, "24:CONTENT_LENGTH\x000\x00SCGI\x001\x00,", nil, ""},
		{"empty value", 0, []string{"A", ""}, 0, "27:CONTENT_LENGTH\x000\x00SCGI\x001\x00A\x00\x00,", nil, ""},
		{"999 bytes", 0, []string{"ABC", long}, 0, "999:CONTENT_LENGTH\x000\x00SCGI\x001\x00ABC\x00" + long + "\x00,", nil, ""},
		{"1000 bytes", 0, []string{"ABCD", long}, 0, "1000:CONTENT_LENGTH\x000\x00SCGI\x001\x00ABCD\x00" + long + "\x00,", nil, ""},
		{"at the limit", 0, []string{"A", "1"}, 28, "28:CONTENT_LENGTH\x000\x00SCGI\x001\x00A\x001\x00,", nil, ""},

		{"one byte more", 0, []string{"A", "1"}, 27, "", ErrTooLong, "scgi: headers too long: more than 27 bytes"},
		{"no room for the length", 0, nil, 23, "", ErrTooLong, "scgi: headers too long: more than 23 bytes"},
		{"length not known", -1, nil, 0, "", ErrLengthRequired, "scgi: the length of the request body must be known"},
		{"no name", 0, []string{"", "1"}, 0, "", ErrMalformed, "scgi: malformed: a param without a name"},
		{"NUL in a name", 0, []string{"A\x00B", "1"}, 0, "", ErrMalformed, `scgi: malformed: a NUL in the param "A\x00B"`},
		{"NUL in a value", 0, []string{"A", "1\x00"}, 0, "", ErrMalformed, `scgi: malformed: a NUL in the param "A"`},
		{"twice", 0, []string{"A", "1", "B", "2", "A", "1"}, 0, "", ErrMalformed, `scgi: malformed: the param "A" comes twice`},
		{"many and the first twice", 0, append(many[:len(many):len(many)], "N0", ""), 0, "", ErrMalformed, `scgi: malformed: the param "N0" comes twice`},
		{"many and the last twice", 0, append(many[:len(many):len(many)], "N99", ""), 0, "", ErrMalformed, `scgi: malformed: the param "N99" comes twice`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := AppendHeaders([]byte("before"), tt.length, seq(tt.params...), tt.max)
			if string(got) != "before"+tt.want || !errors.Is(err, tt.err) {
				t.Errorf("AppendHeaders = %q, %v\nwant %q, %v", got, err, "before"+tt.want, tt.err)
			}
			if err != nil && err.Error() != tt.text {
				t.Errorf("error %q, want %q", err, tt.text)
			}
		})
	}
}

// decode feeds in, in pieces of the size, and returns what came out.
func decode(d *Decoder, in []byte, size int) (params []cgi.Field, rest []byte, done bool, err error) {
	for len(in) > 0 && !done {
		piece := in[:min(size, len(in))]
		var n int
		if n, done, err = d.Feed(piece); err != nil {
			return nil, nil, false, err
		}
		if !done && n != len(piece) {
			return nil, nil, false, fmt.Errorf("%d of %d bytes taken", n, len(piece))
		}
		in = in[n:]
	}
	for {
		name, value, ok := d.Next()
		if !ok {
			return params, in, done, nil
		}
		params = append(params, cgi.Field{Name: string(name), Value: string(value)})
	}
}

func TestDecoder(t *testing.T) {
	type fields = []cgi.Field
	deep := fields{{Name: "CONTENT_LENGTH", Value: "27"}, {Name: "SCGI", Value: "1"}, {Name: "REQUEST_METHOD", Value: "POST"}, {Name: "REQUEST_URI", Value: "/deepthought"}}
	tests := []struct {
		name   string
		limits Decoder
		in     string
		want   fields
		length int64
		rest   string
	}{
		{"of the specification", Decoder{}, deepHeaders + deepBody, deep, 27, deepBody},
		{"SCGI last", Decoder{}, "28:CONTENT_LENGTH\x000\x00A\x001\x00SCGI\x001\x00,", fields{{Name: "CONTENT_LENGTH", Value: "0"}, {Name: "A", Value: "1"}, {Name: "SCGI", Value: "1"}}, 0, ""},
		{"empty value at the end", Decoder{}, "27:CONTENT_LENGTH\x000\x00SCGI\x001\x00A\x00\x00,x", fields{{Name: "CONTENT_LENGTH", Value: "0"}, {Name: "SCGI", Value: "1"}, {Name: "A"}}, 0, "x"},
		{"twice", Decoder{}, "32:CONTENT_LENGTH\x000\x00SCGI\x001\x00A\x001\x00A\x002\x00,", fields{{Name: "CONTENT_LENGTH", Value: "0"}, {Name: "SCGI", Value: "1"}, {Name: "A", Value: "1"}, {Name: "A", Value: "2"}}, 0, ""},
		{"longest length", Decoder{}, "42:CONTENT_LENGTH\x009223372036854775807\x00SCGI\x001\x00,", fields{{Name: "CONTENT_LENGTH", Value: "9223372036854775807"}, {Name: "SCGI", Value: "1"}}, 9223372036854775807, ""},
		{"as many bytes as allowed", Decoder{MaxBytes: 70}, deepHeaders, deep, 27, ""},
		{"as many params as allowed", Decoder{MaxPairs: 4}, deepHeaders, deep, 27, ""},
		{"no limits", Decoder{MaxBytes: -1, MaxPairs: -1}, deepHeaders, deep, 27, ""},
	}
	for _, tt := range tests {
		for size := 1; size < 120; size += 13 {
			t.Run(fmt.Sprint(tt.name, "/", size), func(t *testing.T) {
				d := tt.limits
				for range 2 {
					got, rest, done, err := decode(&d, []byte(tt.in), size)
					if err != nil || !done || !reflect.DeepEqual(got, tt.want) || string(rest) != tt.rest || d.ContentLength() != tt.length {
						t.Errorf("params %q, length %d, rest %q, %v, %v\nwant %q, %d, %q", got, d.ContentLength(), rest, done, err, tt.want, tt.length, tt.rest)
					}
					d.Reset()
				}
			})
		}
	}
}

func TestDecoderRefuses(t *testing.T) {
	tests := []struct {
		name   string
		limits Decoder
		in     string
		want   string
	}{
		{"no netstring", Decoder{}, "GET / HTTP/1.1\r\n", "scgi: malformed: netstring: 'G' in its length"},
		{"no length", Decoder{}, ":CONTENT_LENGTH\x000\x00SCGI\x001\x00,", "scgi: malformed: netstring: ':' in its length"},
		{"sign", Decoder{}, "+24:CONTENT_LENGTH", "scgi: malformed: netstring: '+' in its length"},
		{"space", Decoder{}, "24 :CONTENT_LENGTH", "scgi: malformed: netstring: ' ' in its length"},
		{"leading zero", Decoder{}, "024:CONTENT_LENGTH", "scgi: malformed: netstring: its length starts with 0"},
		{"two zeros", Decoder{}, "00:,", "scgi: malformed: netstring: its length starts with 0"},
		{"too long", Decoder{MaxBytes: 69}, deepHeaders, "scgi: headers too long: more than 69 bytes"},
		{"too long by default", Decoder{}, "262145:", "scgi: headers too long: more than 262144 bytes"},
		{"too long for anybody", Decoder{MaxBytes: -1}, "99999999999999999999999:", "scgi: headers too long: more than 2147483647 bytes"},
		{"no comma", Decoder{}, "24:CONTENT_LENGTH\x000\x00SCGI\x001\x00;", "scgi: malformed: netstring of 24 bytes: ';' where its comma should be"},
		{"length too small", Decoder{}, "23:CONTENT_LENGTH\x000\x00SCGI\x001\x00,", `scgi: malformed: netstring of 23 bytes: '\x00' where its comma should be`},
		{"length too large", Decoder{}, "25:CONTENT_LENGTH\x000\x00SCGI\x001\x00,,", "scgi: malformed: the last value does not end with NUL"},
		{"nothing", Decoder{}, "0:,", "scgi: malformed: no CONTENT_LENGTH"},
		{"value without NUL", Decoder{}, "23:CONTENT_LENGTH\x000\x00SCGI\x001,", "scgi: malformed: the last value does not end with NUL"},
		{"name without value", Decoder{}, "26:CONTENT_LENGTH\x000\x00SCGI\x001\x00A\x00,", `scgi: malformed: the name "A" has no value`},
		{"NUL only", Decoder{}, "1:\x00,", `scgi: malformed: the name "" has no value`},
		{"no name", Decoder{}, "27:CONTENT_LENGTH\x000\x00SCGI\x001\x00\x001\x00,", "scgi: malformed: a param without a name"},
		{"length second", Decoder{}, "24:SCGI\x001\x00CONTENT_LENGTH\x000\x00,", `scgi: malformed: "SCGI" is param 1: CONTENT_LENGTH must come first, and once`},
		{"length twice", Decoder{}, "41:CONTENT_LENGTH\x000\x00SCGI\x001\x00CONTENT_LENGTH\x005\x00,", `scgi: malformed: "CONTENT_LENGTH" is param 3: CONTENT_LENGTH must come first, and once`},
		{"length empty", Decoder{}, "23:CONTENT_LENGTH\x00\x00SCGI\x001\x00,", `scgi: malformed: CONTENT_LENGTH "" is not a number`},
		{"length with a sign", Decoder{}, "25:CONTENT_LENGTH\x00+1\x00SCGI\x001\x00,", `scgi: malformed: CONTENT_LENGTH "+1" is not a number`},
		{"length not decimal", Decoder{}, "26:CONTENT_LENGTH\x000x1\x00SCGI\x001\x00,", `scgi: malformed: CONTENT_LENGTH "0x1" is not a number`},
		{"length beyond 63 bits", Decoder{}, "42:CONTENT_LENGTH\x009223372036854775808\x00SCGI\x001\x00,", `scgi: malformed: CONTENT_LENGTH "9223372036854775808" is not a number`},
		{"no SCGI", Decoder{}, "17:CONTENT_LENGTH\x000\x00,", "scgi: malformed: no SCGI"},
		{"SCGI 2", Decoder{}, "24:CONTENT_LENGTH\x000\x00SCGI\x002\x00,", `scgi: malformed: SCGI is "2": it must be "1", and come once`},
		{"SCGI twice", Decoder{}, "31:CONTENT_LENGTH\x000\x00SCGI\x001\x00SCGI\x001\x00,", `scgi: malformed: SCGI is "1": it must be "1", and come once`},
		{"too many params", Decoder{MaxPairs: 3}, deepHeaders, "scgi: headers too long: more than 3 params"},
	}
	for _, tt := range tests {
		for _, size := range []int{1, 1000} {
			t.Run(fmt.Sprint(tt.name, "/", size), func(t *testing.T) {
				d := tt.limits
				_, _, _, err := decode(&d, []byte(tt.in), size)
				if err == nil || err.Error() != tt.want {
					t.Fatalf("error %v, want %v", err, tt.want)
				}
				sentinel := ErrMalformed
				if strings.HasPrefix(tt.want, ErrTooLong.Error()) {
					sentinel = ErrTooLong
				}
				if !errors.Is(err, sentinel) {
					t.Errorf("error %v does not wrap %v", err, sentinel)
				}
				if _, _, again := d.Feed([]byte("24:")); again != err {
					t.Errorf("error of a further Feed: %v, want the same", again)
				}
				if _, _, ok := d.Next(); ok {
					t.Error("Next returns a param of malformed headers")
				}
			})
		}
	}
}

// The length of a netstring is only a promise.
func TestDecoderTakesNoMemoryInAdvance(t *testing.T) {
	d := Decoder{MaxBytes: -1}
	if _, _, err := d.Feed([]byte("2000000000:" + strings.Repeat("x", 100))); err != nil || cap(d.buf) > 1000 {
		t.Errorf("100 bytes of 2000000000 take %d bytes of memory, %v", cap(d.buf), err)
	}
}

// FuzzDecoder: where the bytes are split does not matter; no more memory is
// taken than came; what is accepted can be written again, unless a name comes
// twice, and then reads the same.
func FuzzDecoder(f *testing.F) {
	for _, in := range []string{deepHeaders + deepBody, "24:CONTENT_LENGTH\x000\x00SCGI\x001\x00,", "0:,", "1:\x00,", "00", "99999999999",
		"32:CONTENT_LENGTH\x000\x00SCGI\x001\x00A\x001\x00A\x002\x00,", "31:CONTENT_LENGTH\x000\x00SCGI\x001\x00SCGI\x001\x00,", "23:CONTENT_LENGTH\x00\x00SCGI\x001\x00,"} {
		f.Add([]byte(in), uint16(3), uint16(0))
		f.Add([]byte(in), uint16(1), uint16(30))
	}
	f.Fuzz(func(t *testing.T, in []byte, size, limit uint16) {
		whole, parts := Decoder{MaxBytes: int(limit)}, Decoder{MaxBytes: int(limit)}
		got, rest, done, err := decode(&whole, in, len(in)+1)
		got2, rest2, done2, err2 := decode(&parts, in, int(size)+1)
		if !reflect.DeepEqual(got, got2) || !bytes.Equal(rest, rest2) || done != done2 || fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Fatalf("at once: %q %q %v %v\nin pieces: %q %q %v %v", got, rest, done, err, got2, rest2, done2, err2)
		}
		if n := cap(parts.buf); n > 4*len(in)+64 {
			t.Errorf("%d bytes of memory for %d bytes", n, len(in))
		}
		if err != nil {
			if errors.Is(err, ErrMalformed) == errors.Is(err, ErrTooLong) {
				t.Errorf("error %v wraps not one of ErrMalformed and ErrTooLong", err)
			}
			return
		}
		if done {
			checkAgain(t, got, whole.ContentLength())
		}
	})
}

// checkAgain writes and reads what was decoded.
func checkAgain(t *testing.T, params []cgi.Field, length int64) {
	var flat []string
	seen := make(map[string]bool)
	twice := false
	for _, p := range params {
		flat = append(flat, p.Name, p.Value)
		twice = twice || seen[p.Name]
		seen[p.Name] = true
	}
	again, err := AppendHeaders(nil, length, seq(flat...), 0)
	if (err != nil) != twice {
		t.Fatalf("writing %q: %v", params, err)
	}
	if twice {
		return
	}
	d := Decoder{MaxBytes: -1}
	got, rest, done, err := decode(&d, again, len(again))
	if err != nil || !done || len(rest) > 0 || len(got) != len(params) || d.ContentLength() != length {
		t.Errorf("written again %q, read %q, %q, %v, %v", again, got, rest, done, err)
	}
}
