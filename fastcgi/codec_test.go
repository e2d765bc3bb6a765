package fastcgi

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/spill"
)

func TestAppendPair(t *testing.T) {
	long := strings.Repeat("x", 128)
	tests := []struct {
		name       string
		key, value string
		wantHex    string // of the two lengths only
	}{
		{"empty value", "QUERY_STRING", "", "0c00"},
		{"empty name", "", "v", "0001"},
		{"longest short form", "K", long[:127], "017f"},
		{"shortest long form", "K", long, "0180000080"},
		{"long name", long, "v", "8000008001"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := AppendPair(nil, tt.key, tt.value)
			if err != nil {
				t.Fatal(err)
			}
			n := len(got) - len(tt.key) - len(tt.value)
			if h := hex.EncodeToString(got[:n]); h != tt.wantHex {
				t.Errorf("AppendPair(%.8q, %.8q) lengths = %s, want %s", tt.key, tt.value, h, tt.wantHex)
			}
		})
	}
}

func TestParsePairsRefuses(t *testing.T) {
	tests := []struct{ name, hex string }{
		{"name length only", "01"},
		{"half a long length", "80000000"},
		{"name runs past the end", "0500616263"},
		{"value runs past the end", "01056162"},
		{"lengths whose sum overflows 31 bits", "ffffffffffffffff61"},
		{"name of 2 GiB", "ffffffff0061"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, _ := hex.DecodeString(tt.hex)
			if pairs, err := ParsePairs(b, 0); !errors.Is(err, ErrMalformed) {
				t.Errorf("ParsePairs(%s) = %v, %v, want ErrMalformed", tt.hex, pairs, err)
			}
		})
	}
	if _, err := ParsePairs(make([]byte, 6), 2); !errors.Is(err, ErrTooLong) {
		t.Errorf("ParsePairs of 3 pairs with max 2: %v, want ErrTooLong", err)
	}
}

func pairs(fields []cgi.Field) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, f := range fields {
			if !yield(f.Name, f.Value) {
				return
			}
		}
	}
}

// paramRecords returns the contents of the PARAMS records in b, the empty
// last one left out.
func paramRecords(t *testing.T, b []byte) [][]byte {
	t.Helper()
	var records [][]byte
	for {
		if len(b) < headerLen {
			t.Fatalf("PARAMS stream without an end: %d bytes left", len(b))
		}
		n := int(b[4])<<8 | int(b[5])
		content := b[headerLen : headerLen+n]
		if b = b[headerLen+n:]; n == 0 {
			if len(b) > 0 {
				t.Fatalf("%d bytes after the end of PARAMS", len(b))
			}
			return records
		}
		records = append(records, content)
	}
}

func TestAppendParamsSplitsBetweenPairs(t *testing.T) {
	of := func(sizes ...int) (fields []cgi.Field) {
		for i, n := range sizes {
			fields = append(fields, cgi.Field{Name: fmt.Sprintf("N%d", i), Value: strings.Repeat("x", n)})
		}
		return fields
	}
	tests := []struct {
		name   string
		fields []cgi.Field
		want   []int // sizes of the records
	}{
		{"none", nil, nil},
		{"one", of(3), []int{1 + 1 + 2 + 3}},
		{"exactly one record", of(65535 - 7), []int{65535}},
		{"two that do not fit in one", of(40000, 40000), []int{40007, 40007}},
		{"small, too big, small", of(10, 70000, 10), []int{14, 65535, 70007 - 65535 + 14}},
		{"too big for two", of(140000), []int{65535, 65535, 140007 - 2*65535}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := AppendParams(nil, 1, pairs(tt.fields), 0)
			if err != nil {
				t.Fatal(err)
			}
			records := paramRecords(t, b)
			var sizes []int
			for _, r := range records {
				sizes = append(sizes, len(r))
			}
			if fmt.Sprint(sizes) != fmt.Sprint(tt.want) {
				t.Errorf("record sizes = %v, want %v", sizes, tt.want)
			}
			got, err := ParsePairs(bytes.Join(records, nil), 0)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(tt.fields) {
				t.Errorf("pairs read back differ (%v)", err)
			}
		})
	}
}

func TestAppendParamsBound(t *testing.T) {
	dst := []byte("before")
	got, err := AppendParams(dst, 1, pairs([]cgi.Field{{Name: "A", Value: strings.Repeat("x", 100)}}), 100)
	if !errors.Is(err, ErrTooLong) || string(got) != "before" {
		t.Errorf("AppendParams = %q, %v, want what was there before and ErrTooLong", got, err)
	}
}

// record is what a Decoder made of a stream of bytes, with the pieces of a
// record put together.
func decode(chunks ...[]byte) (records []string, err error) {
	var d Decoder
	var streams = map[string]string{}
	for _, b := range chunks {
		for {
			p, rest, ok, err := d.Next(b)
			if err != nil {
				return append(records, flush(streams)...), err
			}
			if !ok {
				break
			}
			b = rest
			key := fmt.Sprintf("%v %d", p.Type, p.ID)
			switch {
			case p.Ends:
				records = append(records, key+" "+streams[key])
				delete(streams, key)
			case p.Type.stream():
				streams[key] += string(p.Content)
			default:
				records = append(records, key+" "+string(p.Content))
			}
		}
	}
	return append(records, flush(streams)...), nil
}

func flush(streams map[string]string) (open []string) {
	for key, s := range streams {
		if s != "" {
			open = append(open, key+" open "+s)
		}
	}
	if len(open) > 1 {
		// The order of a map is not that of the wire.
		for i := range open {
			for j := range i {
				if open[i] < open[j] {
					open[i], open[j] = open[j], open[i]
				}
			}
		}
	}
	return open
}

func TestDecoderAtEverySplit(t *testing.T) {
	b := AppendBegin(nil, 1, Begin{RoleResponder, true})
	b = append(AppendHeader(b, TypeStdin, 1, 3, 5), "abc\x00\x00\x00\x00\x00"...)
	b = AppendStream(b, TypeStdin, 1, []byte("def"))
	b = append(AppendHeader(b, TypeStdin, 1, 0, 2), 0, 0)
	b = AppendEndRequest(b, 1, End{7, Overloaded})
	want := []string{"BEGIN_REQUEST 1 \x00\x01\x01\x00\x00\x00\x00\x00", "STDIN 1 abcdef", "END_REQUEST 1 \x00\x00\x00\x07\x02\x00\x00\x00"}
	for i := range b {
		for j := i; j <= len(b); j++ {
			got, err := decode(b[:i], b[i:j], b[j:])
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("split at %d and %d: %q, %v, want %q", i, j, got, err, want)
			}
		}
	}
}

// HAProxy read body bytes as records when a content of 65535 bytes had
// padding behind it: the sum did not fit 16 bits.
func TestDecoderLongestRecordWithPadding(t *testing.T) {
	b := AppendHeader(nil, TypeStdout, 1, MaxContent, 255)
	b = append(b, bytes.Repeat([]byte{1}, MaxContent+255)...)
	b = AppendEnd(b, TypeStdout, 1)
	got, err := decode(b)
	if err != nil || len(got) != 1 || len(got[0]) != len("STDOUT 1 ")+MaxContent {
		t.Errorf("decode: %d records, %v, want one of %d bytes", len(got), err, MaxContent)
	}
}

func FuzzDecoder(f *testing.F) {
	b := AppendBegin(nil, 1, Begin{RoleResponder, true})
	b = AppendStream(b, TypeStdin, 1, []byte("abc"))
	f.Add(AppendEnd(b, TypeStdin, 1), uint16(3), uint16(9))
	f.Add(AppendEndRequest(AppendHeader(nil, 99, 0, 0, 0), 1, End{}), uint16(0), uint16(12))
	f.Add([]byte{1, 6, 0, 1, 0xff, 0xff, 0xff, 0}, uint16(8), uint16(8))
	f.Fuzz(func(t *testing.T, b []byte, i, j uint16) {
		whole, err := decode(b)
		x := min(int(i), len(b))
		y := max(x, min(int(j), len(b)))
		cut, err2 := decode(b[:x], b[x:y], b[y:])
		if fmt.Sprint(whole) != fmt.Sprint(cut) || (err == nil) != (err2 == nil) {
			t.Errorf("in one piece: %q, %v\ncut at %d and %d: %q, %v", whole, err, x, y, cut, err2)
		}
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("error %v does not wrap ErrMalformed", err)
		}
	})
}

func FuzzParsePairs(f *testing.F) {
	f.Add([]byte("\x01\x01ab"))
	f.Add([]byte("\x80\x00\x00\x01\x00a"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fields, err := ParsePairs(b, 1000)
		if err != nil {
			return
		}
		enc, err := AppendParams(nil, 1, pairs(fields), 0)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParsePairs(bytes.Join(paramRecords(t, enc), nil), 0)
		if err != nil || fmt.Sprint(back) != fmt.Sprint(fields) {
			t.Errorf("read %q, written and read again %q, %v", fields, back, err)
		}
	})
}

// FuzzAnswer feeds an application's bytes to the state machine of the client:
// where they are cut must not change what comes out.
func FuzzAnswer(f *testing.F) {
	f.Add(answerBytes(hello), uint16(10))
	f.Add(append(AppendStream(nil, TypeStderr, 1, []byte("oops")), answerBytes("Status: 404\n\n")...), uint16(3))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		n := min(int(cut), len(b))
		one, two := readAnswer(b), readAnswer(b[:n], b[n:])
		if one != two {
			t.Errorf("in one piece:\n%s\ncut at %d:\n%s", one, n, two)
		}
	})
}

func readAnswer(chunks ...[]byte) string {
	var d Decoder
	var a answer
	a.body.Store = new(spill.Store)
	defer a.body.Close()
	for _, b := range chunks {
		for !a.end {
			p, rest, ok, err := d.Next(b)
			if err == nil && ok {
				b, err = rest, a.feed(p)
			}
			if err != nil {
				return fmt.Sprintf("%v %+v %q error", a.haveHead, a.head, bodyOf(&a))
			}
			if !ok {
				break
			}
		}
	}
	return fmt.Sprintf("%v %+v %q %v %v", a.haveHead, a.head, bodyOf(&a), a.quiet, a.end)
}

func bodyOf(a *answer) (all []byte) {
	for {
		b, err := a.body.Next()
		if err != nil || len(b) == 0 {
			return all
		}
		all = append(all, b...)
	}
}
