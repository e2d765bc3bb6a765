package process

// Changed returns a channel that is closed when something has changed of what
// Status says, but for what the processes write.
func (g *Group) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}
