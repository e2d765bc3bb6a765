// Package scale says how many processes a backend shall have.
//
// [Wanted] is the rule: a pure function of the limits that are configured and
// of what can be seen. [Scale] keeps the little that it needs to know of the
// past, and says when to look again. Neither reads a clock, starts anything or
// knows where the numbers come from, so that a simulation, a test and a gateway
// run the same code.
package scale
