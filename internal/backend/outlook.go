package backend

import (
	"errors"

	"github.com/sluice-gateway/sluice/pool"
	"github.com/sluice-gateway/sluice/process"
)

// outlook puts what a group knows of its next process into the words of the
// pool, whose requests wait for it or do not.
func outlook(o process.Outlook) pool.Outlook {
	if o.Last == nil {
		return pool.Outlook{}
	}
	why := "its last process: " + o.Last.Reason
	if o.Loop {
		why = "its processes keep dying, the last one: " + o.Last.Reason
	}
	if o.Last.Advice != "" {
		why += ": " + o.Last.Advice
	}
	return pool.Outlook{Next: o.Next, Hopeless: o.Loop, Err: errors.New(why)}
}
