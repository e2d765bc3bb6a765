package fcgitest_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/fastcgi"
	. "github.com/sluice-gateway/sluice/fastcgi/fcgitest"
)

// Applications that misbehave when they are asked about themselves.
func TestValuesRows(t *testing.T) {
	flood := Stream(7, 1, mega[:300000], 0)
	tests := []struct {
		name   string
		answer []Record
		want   []string // "NAME=value"
		is     error    // of the error, nil if there is none
		text   string   // in it
	}{
		{"right", []Record{GetValuesResult("FCGI_MPXS_CONNS=1")}, []string{"FCGI_MPXS_CONNS=1"}, nil, ""},
		{"nothing known", []Record{GetValuesResult()}, nil, nil, ""},
		{"more than was asked for", []Record{GetValuesResult("X=y", "FCGI_MPXS_CONNS=")}, []string{"X=y", "FCGI_MPXS_CONNS="}, nil, ""},
		{"padded", []Record{GetValuesResult("X=y").WithPadding(255)}, []string{"X=y"}, nil, ""},
		{"after something else", []Record{Stderr(1, "hello"), typed(99, 0, "x"), GetValuesResult("X=y")}, []string{"X=y"}, nil, ""},
		{"the question is not known", []Record{UnknownType(9)}, nil, nil, ""},
		{"close", nil, nil, io.ErrUnexpectedEOF, "without an answer to GET_VALUES"},
		{"close inside the answer", []Record{GetValuesResult("X=y").Cut(-1)}, nil, io.ErrUnexpectedEOF, ""},
		{"version 0", []Record{GetValuesResult("X=y").WithVersion(0)}, nil, fastcgi.ErrMalformed, "version 0"},
		{"pair past the end", []Record{typed(10, 0, "\x09\x09x")}, nil, fastcgi.ErrMalformed, "past the end"},
		{"huge lengths", []Record{typed(10, 0, "\xff\xff\xff\xff\xff\xff\xff\xff")}, nil, fastcgi.ErrMalformed, "past the end"},
		{"too many", []Record{GetValuesResult(make([]string, 101)...)}, nil, fastcgi.ErrTooLong, "more than 100"},
		{"with a request's id", []Record{typed(10, 1, "")}, nil, io.ErrUnexpectedEOF, ""},
		{"something else, without end", flood, nil, fastcgi.ErrMalformed, "something else"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			verifyNoLeak(t)
			app := Application(t, func(c *Conn) {
				c.Expect(GetValues(fastcgi.MpxsConn))
				c.TrySend(tt.answer...)
			})
			got, err := fastcgi.Values(t.Context(), app.Network, app.Address, fastcgi.MpxsConn)
			if !slices.Equal(got, Fields(tt.want...)) || (err == nil) != (tt.is == nil) {
				t.Errorf("Values = %v, %v, want %v, %v", got, err, tt.want, tt.is)
			}
			if err != nil && (!errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text)) {
				t.Errorf("error = %v, want one that wraps %q and says %q", err, tt.is, tt.text)
			}
		})
	}
}

func TestValuesOfTheSilent(t *testing.T) {
	app := Application(t, func(c *Conn) {
		c.Expect(GetValues(fastcgi.MaxReqs))
		c.ExpectClosed()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got, err := fastcgi.Values(ctx, app.Network, app.Address, fastcgi.MaxReqs); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Values = %v, %v, want that the context is done", got, err)
	}
}
