package backend

import (
	"maps"
	"slices"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/gateway"
)

// ForGateway returns the backend as a gateway knows it, under a configuration
// that it CanBe.
func (b *Backend) ForGateway(cfg config.Backend) *gateway.Backend {
	g := &gateway.Backend{Name: cfg.Name, Pool: b.pool, Transport: b.client, Root: cfg.Root, Params: params(cfg.Params)}
	if !b.Foreign() {
		g.Killed = b.killed
	}
	return g
}

// params returns configured params in a stable order.
func params(p map[string]string) []cgi.Field {
	var list []cgi.Field
	for _, name := range slices.Sorted(maps.Keys(p)) {
		list = append(list, cgi.Field{Name: name, Value: p[name]})
	}
	return list
}
