package cgi

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// receive feeds params to v.
func receive(v *Receiver, r *Request, params []Field) error {
	v.Start(r)
	for _, p := range params {
		name, value := []byte(p.Name), []byte(p.Value)
		err := v.Param(name, value)
		clear(name) // a Receiver keeps neither
		clear(value)
		if err != nil {
			return err
		}
	}
	return v.End()
}

// TestReceiver compares a Receiver that has seen many requests with FromParams,
// which remembers nothing, and asks that what was handed out does not change.
func TestReceiver(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	names := []string{"REQUEST_METHOD", "REQUEST_URI", "QUERY_STRING", "HTTP_HOST", "HTTP_COOKIE", "HTTP_X_ODD", "REMOTE_PORT",
		"REQUEST_METHOD", "CONTENT_LENGTH", "HTTPS", "CONTENT_TYPE", "HTTP_PROXY", "FOO", "SCRIPT_NAME", "PATH_INFO", "HTTP_"}
	values := map[string][]string{"CONTENT_LENGTH": {"", "0", "12", "x"}, "REQUEST_METHOD": {"GET", "POST", ""}, "HTTPS": {"on", ""}}
	var v Receiver
	var r Request
	type kept struct{ got, want []Field }
	var all []kept
	for range 5000 {
		var params []Field
		for _, name := range names {
			if rnd.IntN(5) == 0 {
				continue
			}
			value := fmt.Sprint(rnd.IntN(3))
			if some := values[name]; some != nil {
				value = some[rnd.IntN(len(some))]
			}
			if rnd.IntN(50) == 0 {
				value = strings.Repeat("long", 100)
			}
			params = append(params, Field{name, value})
		}
		want, wantErr := FromParams(slices.Clone(params))
		err := receive(&v, &r, params)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("%v: error %v, want %v", params, err, wantErr)
		}
		if err != nil {
			continue
		}
		if len(want.Received) == 0 {
			want.Received, r.Received = nil, nil
		}
		if !reflect.DeepEqual(&r, want) {
			t.Fatalf("%v:\n got %+v\nwant %+v", params, r, *want)
		}
		all = append(all, kept{slices.Clone(r.Received), params})
	}
	for _, k := range all {
		if !slices.Equal(k.got, k.want) {
			t.Fatalf("strings that were handed out have changed: %v, want %v", k.got, k.want)
		}
	}
}

func typicalParams() []Field {
	r := Request{Method: "GET", Target: "/index.php?a=b", Proto: "HTTP/1.1", Host: "example.org", RemoteAddr: "192.0.2.1", RemotePort: "50000",
		ServerAddr: "192.0.2.2", ServerPort: "80", Script: Script{Root: "/srv", Filename: "/srv/index.php", Name: "/index.php"},
		Header: Header{{"User-Agent", "test"}, {"Accept", "*/*"}, {"Accept-Encoding", "gzip"}, {"Cookie", "a=b"}}}
	var params []Field
	for name, value := range r.Params() {
		params = append(params, Field{name, value})
	}
	return params
}

// A connection that is idle must not remember a request of a megabyte.
func TestReceiverForgets(t *testing.T) {
	for name, params := range map[string][]Field{
		"long value":  append(typicalParams(), Field{"HTTP_COOKIE", strings.Repeat("x", maxKnown)}),
		"many params": append(typicalParams(), make([]Field, maxKnownParams)...),
	} {
		var v Receiver
		var r Request
		if err := receive(&v, &r, params); err != nil {
			t.Fatal(err)
		}
		if v.last != nil || v.gone != nil || v.reading.r != nil {
			t.Errorf("%s: %d params are kept", name, len(v.last))
		}
	}
}

func TestReceiverAllocations(t *testing.T) {
	params := typicalParams()
	var names, values [][]byte
	for _, p := range params {
		names, values = append(names, []byte(p.Name)), append(values, []byte(p.Value))
	}
	port := slices.IndexFunc(params, func(p Field) bool { return p.Name == "REMOTE_PORT" })
	var v Receiver
	var r Request
	n := 0
	allocs := testing.AllocsPerRun(1000, func() {
		n++
		strconv.AppendInt(values[port][:0], int64(10000+n), 10)
		v.Start(&r)
		for i := range names {
			v.Param(names[i], values[i])
		}
		v.End()
	})
	if allocs != 0 { // AllocsPerRun rounds down: one in a hundred is for the ports
		t.Errorf("%v allocations for a request like the one before, want 0", allocs)
	}
}

func BenchmarkReceiver(b *testing.B) {
	var names, values [][]byte
	for _, p := range typicalParams() {
		names, values = append(names, []byte(p.Name)), append(values, []byte(p.Value))
	}
	for _, fresh := range []bool{false, true} {
		b.Run(fmt.Sprintf("fresh=%v", fresh), func(b *testing.B) {
			b.ReportAllocs()
			v, r := new(Receiver), new(Request)
			for b.Loop() {
				if fresh {
					v, r = new(Receiver), new(Request)
				}
				v.Start(r)
				for i := range names {
					v.Param(names[i], values[i])
				}
				v.End()
			}
		})
	}
}
