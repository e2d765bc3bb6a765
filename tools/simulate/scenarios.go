package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// A scenario is what comes to a backend, and how the backend is.
type scenario struct {
	name   string // of the file
	title  string
	says   string // one line about it
	limits limits
	start  time.Duration
	length time.Duration
	takes  int // requests that a process serves at a time; 0: one

	// load is how many requests would be served at a time if nobody had to
	// wait, or how many clients there are that wait for their answers.
	load    func(at time.Duration) float64
	clients bool
	mean    time.Duration // of a request
	even    bool          // each takes that long; else they vary
	crowd   time.Duration // crowdSize requests at this moment; 0: none
}

const (
	starting  = 150 * time.Millisecond
	crowdSize = 200
)

var scenarios = []scenario{
	{
		name: "burst", title: "A burst: from 1 to 100 clients and back",
		says:   "Each client sends its next request when it has the answer to the last. 50 ms a request, min 1, max 16.",
		limits: limits{min: 1, max: 16, idle: 10 * time.Second}, start: starting, length: 40 * time.Second,
		clients: true, mean: 50 * time.Millisecond, even: true,
		load: func(at time.Duration) float64 {
			if at >= 2*time.Second && at < 20*time.Second {
				return 100
			}
			return 1
		},
	},
	{
		name: "day", title: "A day, in four minutes",
		says:   "Requests come by chance and take 50 ms on average. Min 1, max 24, one spare.",
		limits: limits{min: 1, max: 24, spare: 1, idle: 10 * time.Second}, start: starting, length: 240 * time.Second,
		mean: 50 * time.Millisecond,
		load: func(at time.Duration) float64 {
			hour := at.Seconds() / 10
			morning := bell(hour, 11, 2.5)
			evening := bell(hour, 20, 2)
			return 0.3 + 8*morning + 12*evening
		},
	},
	{
		name: "spikes", title: "Spikes: a second of much every 12 seconds",
		says:   "A cron job, a page with sixty pictures. 50 ms a request on average, min 1, max 16.",
		limits: limits{min: 1, max: 16, idle: 15 * time.Second}, start: starting, length: 120 * time.Second,
		mean: 50 * time.Millisecond,
		load: func(at time.Duration) float64 {
			if phase := math.Mod(at.Seconds(), 12); at < 90*time.Second && phase >= 4 && phase < 5 {
				return 10
			}
			return 0.5
		},
	},
	{
		name: "first", title: "On demand: nobody for long, then 200 at once",
		says:   "No process is there when they come; then as many as 6 processes can serve. 50 ms on average, min 0, max 16.",
		limits: limits{min: 0, max: 16, idle: 10 * time.Second}, start: starting, length: 50 * time.Second,
		mean: 50 * time.Millisecond, crowd: 2 * time.Second,
		load: func(at time.Duration) float64 {
			if at >= 2*time.Second && at < 20*time.Second {
				return 6
			}
			return 0
		},
	},
	{
		name: "unsaid", title: "The burst, and nobody has said what a process takes",
		says:   "No max_load: a process is given what comes, and serves one after the other. 50 ms a request, min 1, max 16.",
		limits: limits{min: 1, max: 16, idle: 10 * time.Second, unsaid: true}, start: starting, length: 40 * time.Second,
		clients: true, mean: 50 * time.Millisecond, even: true,
		load: func(at time.Duration) float64 {
			if at >= 2*time.Second && at < 20*time.Second {
				return 100
			}
			return 1
		},
	},
	{
		name: "together", title: "On demand, and a process takes all that comes",
		says:   "No max_load, 200 at once and then 10 at a time, all served together. 20 ms on average, min 0, max 16.",
		limits: limits{min: 0, max: 16, idle: 10 * time.Second, unsaid: true}, start: starting, length: 40 * time.Second,
		mean: 20 * time.Millisecond, crowd: 2 * time.Second, takes: 1000,
		load: func(at time.Duration) float64 {
			if at >= 2*time.Second && at < 20*time.Second {
				return 10
			}
			return 0
		},
	},
	{
		name: "quick", title: "Quick requests: 250 a second that take 2 ms each",
		says:   "One process is busy half of the time, and often two requests come at once. Min 1, max 16.",
		limits: limits{min: 1, max: 16, idle: 10 * time.Second}, start: starting, length: 40 * time.Second,
		mean: 2 * time.Millisecond,
		load: func(at time.Duration) float64 {
			if at < time.Second {
				return 0
			}
			return 0.5
		},
	},
}

// most returns the greatest load there is.
func (s scenario) most() (most float64) {
	const points = 1000
	for i := range points {
		most = max(most, s.load(s.length*time.Duration(i)/points))
	}
	return most
}

// service returns how long one request takes.
func (s scenario) service(random *rand.Rand) time.Duration {
	if s.even {
		return s.mean
	}
	return time.Duration(random.ExpFloat64() * float64(s.mean))
}

func bell(x, middle, width float64) float64 {
	d := (x - middle) / width
	return math.Exp(-d * d / 2)
}

// play shows a rule the scenario. Every rule sees the same requests.
func (s scenario) play(r rule) *world {
	w := &world{rule: r, limits: s.limits, start: s.start, takes: max(s.takes, 1)}
	random := rand.New(rand.NewPCG(7, 11))
	if s.clients {
		s.sendClients(w, random)
	} else {
		s.sendByChance(w, random)
	}
	w.run(s.length)
	w.settle(s.length)
	return w
}

// settle counts requests that still wait at the end by what they have waited.
func (w *world) settle(end time.Duration) {
	left := slices.Clone(w.queue)
	for _, p := range w.procs {
		left = append(left, p.backlog...)
	}
	for _, r := range left {
		w.record.waits = append(w.record.waits, wait{r.came, end - r.came})
	}
}

// sendByChance makes requests come one after the other, independent of what
// becomes of them.
func (s scenario) sendByChance(w *world, random *rand.Rand) {
	most := s.most()
	for at := 0.0; at < float64(s.length); at += random.ExpFloat64() * float64(s.mean) / most {
		if random.Float64() < s.load(time.Duration(at))/most {
			s.send(w, time.Duration(at), s.service(random))
		}
	}
	for range crowdSize {
		if s.crowd > 0 {
			s.send(w, s.crowd, s.service(random))
		}
	}
}

func (s scenario) send(w *world, at, service time.Duration) {
	w.after(at, func() { w.rule.arrive(w, &request{came: w.now, service: service}) })
}

// sendClients looks every 10 ms how many clients there are to be.
func (s scenario) sendClients(w *world, random *rand.Rand) {
	n := 0
	var send func()
	send = func() {
		if float64(n) > s.load(w.now) {
			n--
			return
		}
		w.rule.arrive(w, &request{came: w.now, service: s.service(random), then: send})
	}
	var look func()
	look = func() {
		for float64(n+1) <= s.load(w.now) {
			n++
			send()
		}
		w.after(10*time.Millisecond, look)
	}
	w.after(0, look)
}
