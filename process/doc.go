// Package process starts programs with their sockets and credentials, watches
// them, restarts them, and ends them. It knows nothing of requests.
//
//	g, err := process.NewGroup(process.Spec{
//		Name: "api",
//		Args: []string{"./api", "-v"},
//		Env:  process.CleanEnv("DEBUG=1"),
//		Log:  log,
//	}, 4, "/run/sluice")
//	…
//	err = g.Start()
//	…
//	go g.Watch(ctx, func(ready []process.Member, next process.Outlook) { … })
//	…
//	err = g.Stop(ctx) // nothing of it is left
//
// A Group has slots, one for each process, and every slot has a listening
// socket of its own, which the group holds open: a process that dies leaves
// the requests in its queue to its successor.
//
// Should we get SIGKILL, the processes end, too (on Linux); but not one that
// changes its user itself, which the kernel then lets live (prctl(2),
// PR_SET_PDEATHSIG): leave that to Spec.Credential.
package process
