// A module of its own: what is built here is measured beside Sluice and is no
// part of it, and ./... of the main module leaves it out.
module github.com/sluice-gateway/sluice/bench

go 1.26
