package cgi

import "testing"

// browserRequest is what a browser asks a PHP page with.
func browserRequest() *Request {
	return &Request{
		Method: "GET",
		Target: "/index.php?id=start",
		Proto:  "HTTP/1.1",
		Host:   "localhost:8080",
		Header: Header{
			{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
			{"Accept-Encoding", "gzip, deflate, br, zstd"},
			{"Accept-Language", "en-GB,en;q=0.5"},
			{"Connection", "keep-alive"},
			{"Cookie", "session=0123456789abcdef; theme=dark"},
			{"Referer", "http://localhost:8080/"},
			{"Sec-Fetch-Dest", "document"},
			{"Sec-Fetch-Mode", "navigate"},
			{"Sec-Fetch-Site", "same-origin"},
			{"Upgrade-Insecure-Requests", "1"},
			{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
		},
		RemoteAddr: "127.0.0.1", RemotePort: "50000",
		ServerAddr: "127.0.0.1", ServerPort: "8080",
		Script: Script{Root: "/srv/www", Filename: "/srv/www/index.php", Name: "/index.php"},
		Extra:  []Field{{"APP_ENV", "prod"}},
	}
}

func BenchmarkParams(b *testing.B) {
	r := browserRequest()
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for name, value := range r.Params() {
			n += len(name) + len(value)
		}
		if n == 0 {
			b.Fatal("no params")
		}
	}
}

func BenchmarkFromParams(b *testing.B) {
	received := params(browserRequest())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := FromParams(received); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHeadParser(b *testing.B) {
	const head = "Status: 200 OK\r\nX-Powered-By: PHP/8.2\r\nContent-Type: text/html; charset=UTF-8\r\n" +
		"Cache-Control: no-store\r\nSet-Cookie: session=0123456789abcdef; path=/; HttpOnly\r\nContent-Length: 1024\r\n\r\n"
	tests := []struct {
		name   string
		pieces [][]byte
	}{
		{"at once", [][]byte{[]byte(head)}},
		{"in two pieces", [][]byte{[]byte(head[:100]), []byte(head[100:])}},
	}
	for _, tt := range tests {
		b.Run(tt.name, func(b *testing.B) {
			var p HeadParser
			b.ReportAllocs()
			for b.Loop() {
				for _, piece := range tt.pieces {
					if _, _, err := p.Feed(piece); err != nil {
						b.Fatal(err)
					}
				}
				if h, err := p.Head(); err != nil || h.ContentLength != 1024 {
					b.Fatal(h, err)
				}
			}
		})
	}
}
