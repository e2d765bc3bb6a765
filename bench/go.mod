// A module of its own: what is built here is measured beside Sluice and is no
// part of it, and ./... of the main module leaves it out.
module github.com/sluice-gateway/sluice/bench

go 1.26.8

require github.com/sluice-gateway/sluice v0.0.0

require golang.org/x/sys v0.49.0 // indirect

replace github.com/sluice-gateway/sluice => ..
