// Package arch holds the tests of the house's plan: which package may import
// which. It has no code of its own.
package arch
