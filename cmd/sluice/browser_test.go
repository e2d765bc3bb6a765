package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/sluice-gateway/sluice/cmd/sluice/demo"
)

// TestDemoBrowser does in a real browser what "sluice demo" invites to.
func TestDemoBrowser(t *testing.T) {
	ctx := bounded(t)
	b := openTab(ctx, t)
	p := startProgram(ctx, t, "demo", "--listen", "127.0.0.1:0")
	b.do(chromedp.Navigate(p.url))

	var workers []int
	for _, child := range descendants(t, p.cmd.Process.Pid) {
		workers = append(workers, child.pid)
	}
	if len(workers) != demoWorkers {
		t.Errorf("sluice demo has the processes %d, want %d of them", workers, demoWorkers)
	}
	demoReloads(b, workers)
	demoUpload(b)
	demoAsksAgain(b, workers) // the page after the upload has everything, too
	demoStream(b)
	b.screenshot("demo.png")
	b.noBadResponses()
	p.terminate(ctx, t)
}

var answeredBy = regexp.MustCompile(`(?m)^process (\d+)(?:, its request number \d+|: (\d+) answers)$`)

// demoReloads sees on the page that requests are spread over the workers.
func demoReloads(b *tab, workers []int) {
	b.t.Helper()
	const enough = 20 // far more than round robin or the least loaded need
	seen := make(map[int]bool)
	for range enough {
		b.do(chromedp.Reload())
		said := see(b, chromedp.Text(chromedp.ID("worker")))
		m := answeredBy.FindStringSubmatch(said)
		if m == nil {
			b.t.Fatalf("the page says %q, want it to name a process", said)
		}
		pid, _ := strconv.Atoi(m[1])
		if !slices.Contains(workers, pid) {
			b.t.Fatalf("the page says %q, but the workers are %d", said, workers)
		}
		if seen[pid] = true; len(seen) > 1 {
			return
		}
	}
	b.t.Errorf("one worker answered %d times, want at least two to answer", enough)
}

// demoAsksAgain lets the page ask twenty times at once.
func demoAsksAgain(b *tab, workers []int) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.ID("again")))
	said := see(b, chromedp.Poll[string](`document.getElementById('answers').textContent`))
	sum, by := 0, answeredBy.FindAllStringSubmatch(said, -1)
	for _, m := range by {
		n, _ := strconv.Atoi(m[2])
		sum += n
	}
	if sum != 20 || len(by) < 2 || len(by) > len(workers) {
		b.t.Errorf("the page says %q, want 20 answers of 2 to %d processes", said, len(workers))
	}
}

// demoUpload sends the form with a small file, whose name HTML would mangle
// if it were not escaped.
func demoUpload(b *tab) {
	b.t.Helper()
	content := []byte("A small file:\r\n\x00\xff, and its end.\n")
	file := filepath.Join(b.t.TempDir(), "grüße & <b>more.txt")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.do(
		chromedp.SetValue(chromedp.CSS("input[name=word]"), "flood gate"),
		chromedp.SetUploadFiles(chromedp.CSS("input[name=file]"), []string{file}),
	)
	b.follow("input[type=submit]")
	got := see(b, chromedp.Text(chromedp.ID("upload")))
	want := fmt.Sprintf("word: flood gate\nfile: %s, %d bytes\nsha256: %x",
		filepath.Base(file), len(content), sha256.Sum256(content))
	if got != want {
		b.t.Errorf("after the upload the page says\n%s\nwant\n%s", got, want)
	}
}

// demoStream sees the first line of the streamed response while the last one
// has not been written: the page looks at each change of itself.
func demoStream(b *tab) {
	b.t.Helper()
	until := func(line int) string {
		return see(b, chromedp.Poll[string](
			fmt.Sprintf(`(s => s.includes('line %d of') && s)(document.getElementById('lines').textContent)`, line),
			chromedp.WithPollingMutation()))
	}
	b.do(chromedp.Click(chromedp.ID("stream")))
	if early := until(1); strings.Contains(early, fmt.Sprintf("line %d of", demo.Lines)) {
		b.t.Errorf("the first line was not seen before the last:\n%s", early)
	}
	lines := strings.Split(strings.TrimSuffix(until(demo.Lines), "\n"), "\n")
	if len(lines) != demo.Lines {
		b.t.Errorf("the stream has %d lines, want %d", len(lines), demo.Lines)
	}
	for i, line := range lines {
		if want := fmt.Sprintf("line %d of %d, from process ", i+1, demo.Lines); !strings.HasPrefix(line, want) {
			b.t.Errorf("line %d is %q, want %q", i+1, line, want+"...")
		}
	}
}
