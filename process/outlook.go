package process

import (
	"context"
	"time"
)

// An Outlook is what is known of the processes to come while none takes
// requests and none is starting. The zero Outlook is that of any other time.
type Outlook struct {
	Next time.Time // when the next one is started
	Last *Exit     // how the last one ended
	Loop bool      // all slots are in a crash loop
}

// outlook returns what is known now. g.mu is held.
func (g *Group) outlook() (o Outlook) {
	o.Loop = true
	for _, p := range g.places {
		s := p.view.Status
		switch {
		case p.gone:
			continue
		case g.ended || s.Last == nil || s.State != Down && s.State != CrashLoop:
			return Outlook{}
		}
		if next := s.Since.Add(p.view.pause); o.Next.IsZero() || next.Before(o.Next) {
			o.Next = next
		}
		if o.Last == nil || s.Last.At.After(o.Last.At) {
			o.Last = s.Last
		}
		o.Loop = o.Loop && s.State == CrashLoop
	}
	if o.Last == nil {
		return Outlook{} // there is no slot, and so nothing that fails
	}
	return o
}

// told returns idle so that it is called when nobody is just being told of
// processes as they were before: else one that is about to be told that a
// process is ready would think so after it has ended.
func (g *Group) told(idle func(context.Context, Member)) func(context.Context, Member) {
	if idle == nil {
		return nil
	}
	return func(ctx context.Context, m Member) {
		select {
		case g.telling <- struct{}{}:
			<-g.telling
			idle(ctx, m)
		case <-ctx.Done():
		}
	}
}
