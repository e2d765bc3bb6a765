package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// A column shows one rule: what is offered, what there is, and who waits.
type column struct {
	name   string
	record record
}

// Places in the drawing, in its own units, which are pixels at full size.
const (
	width, height  = 900, 600
	left, right    = 74, 18 // margins
	gap            = 44     // between columns
	columnWidth    = (width - left - right - gap) / 2
	loadTop, loadH = 98, 100
	procTop, procH = 232, 130
	waitTop, waitH = 396, 150

	shortest = time.Millisecond // of the scale of waiting, which is logarithmic
	longest  = 10 * time.Second
	windows  = 100 // of time, in a column, for each of which a p50 and a p95 is drawn
	fewest   = 5   // requests in such a window; of fewer there is none
)

const style = `
  text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #3d4451 }
  .title { font-size: 17px; font-weight: 600; fill: #1c2128 } .says { fill: #5b6470 }
  .name { font-size: 14px; font-weight: 600; fill: #1c2128 } .label { font-size: 11px; font-weight: 600 }
  .tick { fill: #727b88; font-size: 11px } .end { text-anchor: end } .middle { text-anchor: middle }
  .grid { stroke: #e6e9ee; stroke-width: 1; fill: none } .axis { stroke: #9aa3af; stroke-width: 1; fill: none }
  .load { fill: #b9c3d0 } .ready { fill: #4f8fdc } .starting { fill: #f39a1f }
  .crowd { stroke: #3d4451; stroke-width: 2; fill: none }
  .limit { stroke: #727b88; stroke-width: 1; stroke-dasharray: 4 3; fill: none }
  .p50 { stroke: #2f9e6e; stroke-width: 1.6; fill: none; stroke-linejoin: round }
  .p95 { stroke: #d64550; stroke-width: 1.6; fill: none; stroke-linejoin: round }
`

// draw returns the scenario as SVG, a column for each rule, all to one scale.
func draw(s scenario, columns []column) []byte {
	d := &drawing{s: s}
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`, width, height, width, height)
	d.add("<title>%s</title>\n<style>%s</style>", s.title, style)
	d.add(`<rect width="%d" height="%d" fill="#fff"/>`, width, height)
	d.text(left, 26, "title", s.title)
	d.text(left, 47, "says", s.says)
	d.legend()
	for i, c := range columns {
		d.x0 = float64(left + i*(columnWidth+gap))
		d.text(d.x0, 76, "name", c.name)
		d.text(d.x0+columnWidth, 76, "tick end", fmt.Sprintf("waiting p50 %s, p95 %s; %d started",
			inWords(share(took(c.record.waits), 0.5)), inWords(share(took(c.record.waits), 0.95)), c.record.started))
		d.load(i == 0)
		d.processes(c.record, i == 0)
		d.waiting(c.record, i == 0)
	}
	d.add("</svg>\n")
	return []byte(d.b.String())
}

type drawing struct {
	b  strings.Builder
	s  scenario
	x0 float64 // of the present column
}

func (d *drawing) add(format string, args ...any) {
	fmt.Fprintf(&d.b, format+"\n", args...)
}

func (d *drawing) text(x, y float64, class, s string) {
	d.add(`<text x="%g" y="%g" class="%s">%s</text>`, x, y, class, s)
}

func (d *drawing) x(at time.Duration) float64 {
	return d.x0 + columnWidth*float64(at)/float64(d.s.length)
}

// legend stands at the foot.
func (d *drawing) legend() {
	const y = height - 10
	x := float64(left)
	for _, e := range []struct{ class, says string }{
		{"load", "offered"}, {"ready", "ready"}, {"starting", "starting"}, {"limit", "max"},
		{"p50", "half of the requests waited less (p50)"}, {"p95", "95 of 100 waited less (p95)"},
	} {
		if strings.HasPrefix(e.class, "p") || e.class == "limit" {
			d.add(`<path class="%s" d="M%g %dh16"/>`, e.class, x, y-4)
		} else {
			d.add(`<rect class="%s" x="%g" y="%d" width="16" height="10"/>`, e.class, x, y-9)
		}
		d.text(x+22, y, "", e.says)
		x += 22 + 6.6*float64(len(e.says)) + 20
	}
}

// frame draws a panel's axes: values with their places from 0, the foot, to 1.
func (d *drawing) frame(label string, top, h float64, values []mark, first, seconds bool) {
	if first {
		d.add(`<text class="label middle" transform="translate(14 %g) rotate(-90)">%s</text>`, top+h/2, label)
	}
	for _, v := range values {
		y := top + h*(1-v.at)
		d.add(`<path class="grid" d="M%g %.1fh%d"/>`, d.x0, y, columnWidth)
		if first {
			d.text(d.x0-7, y+4, "tick end", v.says)
		}
	}
	d.add(`<path class="axis" d="M%g %gh%d"/>`, d.x0, top+h, columnWidth)
	step := everySo(d.s.length, 6)
	for at := time.Duration(0); at <= d.s.length; at += step {
		d.add(`<path class="axis" d="M%.1f %gv4"/>`, d.x(at), top+h)
		if seconds {
			d.text(d.x(at), top+h+17, "tick middle", fmt.Sprintf("%g s", at.Seconds()))
		}
	}
}

type mark struct {
	at   float64
	says string
}

// everySo returns a round step of which about n make the whole.
func everySo(whole time.Duration, n int) time.Duration {
	for _, s := range []time.Duration{1, 2, 5, 10, 20, 30, 60} {
		if s*time.Second*time.Duration(n) >= whole {
			return s * time.Second
		}
	}
	return 2 * time.Minute
}

// upTo returns marks for whole numbers from 0 to most, with a round step.
func upTo(most float64, n int) (marks []mark, end float64) {
	step := 1.0
	for _, s := range []float64{0.5, 1, 2, 4, 5, 10, 20, 25, 50, 100} {
		if step = s; most/s <= float64(n) {
			break
		}
	}
	end = math.Ceil(most/step) * step
	for v := 0.0; v <= end; v += step {
		marks = append(marks, mark{v / end, fmt.Sprintf("%g", v)})
	}
	return marks, end
}

func (d *drawing) load(first bool) {
	const points = 2 * columnWidth
	marks, end := upTo(d.s.most(), 4)
	label := "requests at a time"
	if d.s.clients {
		label = "clients"
	}
	d.frame(label, loadTop, loadH, marks, first, false)
	p := pen{}
	p.to(d.x0, loadTop+loadH)
	for i := range points {
		at := d.s.length * time.Duration(i) / points
		p.to(d.x(at), loadTop+loadH*(1-d.s.load(at)/end))
	}
	p.to(d.x0+columnWidth, loadTop+loadH)
	d.add(`<path class="load" d="%sz"/>`, p.String())
	if d.s.crowd > 0 {
		x := d.x(d.s.crowd)
		d.add(`<path class="crowd" d="M%.1f %dV%d"/>`, x, loadTop+loadH, loadTop)
		d.text(x+6, loadTop+11, "tick", fmt.Sprintf("%d at once", crowdSize))
	}
}

// processes draws those that are ready, and on top of them those that start.
func (d *drawing) processes(r record, first bool) {
	marks, end := upTo(float64(d.s.limits.max), 4)
	d.frame("processes", procTop, procH, marks, first, false)
	y := func(n int) float64 { return procTop + procH*(1-float64(n)/end) }
	d.ready(r.steps, y)
	for i, s := range r.steps[:len(r.steps)-1] {
		if s.starting > 0 { // at least as wide as can be seen
			wide := max(d.x(r.steps[i+1].at)-d.x(s.at), 1.5)
			d.add(`<path class="starting" d="M%.1f %.1fh%.1fV%.1fh-%.1fz"/>`, d.x(s.at), y(s.starting+s.ready), wide, y(s.ready), wide)
		}
	}
	d.add(`<path class="limit" d="M%g %.1fh%d"/>`, d.x0, y(d.s.limits.max), columnWidth)
}

func (d *drawing) ready(steps []step, y func(int) float64) {
	p := pen{}
	last := y(0)
	p.to(d.x0, last)
	for _, s := range steps {
		p.to(d.x(s.at), last)
		last = y(s.ready)
		p.to(d.x(s.at), last)
	}
	p.to(d.x0+columnWidth, last)
	p.to(d.x0+columnWidth, y(0))
	d.add(`<path class="ready" d="%sz"/>`, p.String())
}

// waiting draws what the requests waited that came in each window of time.
func (d *drawing) waiting(r record, first bool) {
	var marks []mark
	for t := shortest; t <= longest; t *= 10 {
		says := inWords(t)
		if t == shortest {
			says = "≤ 1 ms"
		}
		marks = append(marks, mark{logarithm(t), strings.Replace(says, ".0", "", 1)})
	}
	d.frame("waiting", waitTop, waitH, marks, first, true)
	var in [windows][]wait
	for _, w := range r.waits {
		i := min(int(w.came*windows/d.s.length), windows-1)
		in[i] = append(in[i], w)
	}
	for _, line := range []struct {
		class string
		part  float64
	}{{"p50", 0.5}, {"p95", 0.95}} {
		var paths strings.Builder
		p := pen{}
		for i, ws := range in {
			if len(ws) < fewest {
				paths.WriteString(p.String())
				p = pen{}
				continue
			}
			at := d.s.length * time.Duration(2*i+1) / (2 * windows)
			p.to(d.x(at), waitTop+waitH*(1-logarithm(share(took(ws), line.part))))
		}
		paths.WriteString(p.String())
		d.add(`<path class="%s" d="%s"/>`, line.class, paths.String())
	}
}

func logarithm(t time.Duration) float64 {
	t = min(max(t, shortest), longest)
	return math.Log(float64(t)/float64(shortest)) / math.Log(float64(longest)/float64(shortest))
}

// A pen draws a line, and leaves out what cannot be seen.
type pen struct {
	b    strings.Builder
	n    int
	x, y float64
}

func (p *pen) to(x, y float64) {
	switch {
	case p.n == 0:
		fmt.Fprintf(&p.b, "M%.1f %.1f", x, y)
	case math.Abs(x-p.x) < 0.05 && math.Abs(y-p.y) < 0.05:
		return
	case math.Abs(y-p.y) < 0.05:
		fmt.Fprintf(&p.b, "H%.1f", x)
	case math.Abs(x-p.x) < 0.05:
		fmt.Fprintf(&p.b, "V%.1f", y)
	default:
		fmt.Fprintf(&p.b, "L%.1f %.1f", x, y)
	}
	p.n++
	p.x, p.y = x, y
}

func (p *pen) String() string { return p.b.String() }
