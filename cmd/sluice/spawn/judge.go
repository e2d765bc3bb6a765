package spawn

import "github.com/sluice-gateway/sluice/process"

// A verdict is what is thought of an application.
type verdict uint8

const (
	undecided verdict = iota
	gotUp
	failed
)

// judge decides whether an application is up now, or has failed, and why. Until
// it is up a single death is a failure, unless it may be tried again (retry).
// Then, and later, it has failed when all of it keeps dying. A process that has
// done its share has not died.
func judge(views []process.Status, isUp, retry bool) (verdict, *process.Exit) {
	ready, lost := 0, 0
	var death *process.Exit
	for _, v := range views {
		finished := v.Last != nil && v.Last.Finished
		if v.Last != nil && !finished {
			death = v.Last
		}
		if v.State == process.Ready || finished {
			ready++
		}
		if v.State == process.CrashLoop {
			lost++
		}
	}
	switch {
	case retry && lost > 0 && lost == len(views):
		return failed, death
	case !isUp && !retry && death != nil:
		return failed, death
	case !isUp && ready == len(views):
		return gotUp, nil
	}
	return undecided, nil
}
