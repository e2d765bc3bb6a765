package fastcgi

import (
	"fmt"
	"testing"
)

// One operation is 64 KiB of what comes back on a connection with 64 requests
// at a time. Reads that are not the whole of it cut records anywhere.
func BenchmarkDecoder(b *testing.B) {
	var answers []byte
	for len(answers) < bigRead {
		for id := range uint16(64) {
			answers = append(answers, answerTo(id+1, hello)...)
		}
	}
	for _, read := range []int{len(answers), 1001} {
		b.Run(fmt.Sprintf("reads of %d", read), func(b *testing.B) {
			var d Decoder
			decode := func() (records int) {
				for left := answers; len(left) > 0; {
					piece := left[:min(read, len(left))]
					left = left[len(piece):]
					for {
						p, rest, ok, err := d.Next(piece)
						if err != nil {
							b.Fatal(err)
						}
						if !ok {
							break
						}
						if p.Type == TypeEndRequest {
							records += 3 // STDOUT, its end, and this one
						}
						piece = rest
					}
				}
				return records
			}
			records := decode()
			b.ReportAllocs()
			b.SetBytes(int64(len(answers)))
			for b.Loop() {
				decode()
			}
			b.ReportMetric(float64(records), "records/op")
		})
	}
}
