package process

// Retry starts at once what waits for a pause to end, after a death: whoever has
// mended an application does not want to wait.
func (g *Group) Retry() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.places {
		select {
		case p.slot.again <- struct{}{}:
		default: // it is about to look
		}
	}
}
