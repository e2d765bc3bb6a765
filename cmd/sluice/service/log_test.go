package service

import (
	"bytes"
	"regexp"
	"testing"
	"time"
)

func TestQueuedLog(t *testing.T) {
	for _, tt := range []struct {
		format  string
		verbose bool
		want    string
	}{
		{"text", false, `^time=\S+ level=INFO msg=info\ntime=\S+ level=WARN msg="lines of the log lost" lines=3 hint=".*"\n$`},
		{"json", false, `^{"time":"[^"]+","level":"INFO","msg":"info"}\n{"time":"[^"]+","level":"WARN","msg":"lines of the log lost","lines":3,"hint":".*"}\n$`},
		{"text", true, `^time=\S+ level=DEBUG msg=debug\ntime=\S+ level=INFO msg=info\n`},
	} {
		var text bytes.Buffer
		log, queue, err := QueuedLog(&text, tt.format, tt.verbose)
		if err != nil || CheckLog(tt.format) != nil {
			t.Fatalf("%s: %v, %v", tt.format, err, CheckLog(tt.format))
		}
		log.Debug("debug")
		log.Info("info")
		SayLost(log, 3)
		queue.Close(time.Minute)
		if !regexp.MustCompile(tt.want).Match(text.Bytes()) {
			t.Errorf("%s, verbose: %v:\n%swant %s", tt.format, tt.verbose, &text, tt.want)
		}
	}
	const want = `--log is "xml": want text or json`
	if _, _, err := QueuedLog(nil, "xml", false); err == nil || err.Error() != want {
		t.Errorf("xml: %v, want %s", err, want)
	}
	if err := CheckLog("xml"); err == nil || err.Error() != want {
		t.Errorf("xml: %v, want %s", err, want)
	}
}
