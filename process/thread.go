package process

import "runtime"

// A thread starts all processes of a group from one thread of the kernel that
// lives as long as they do. Linux sends Pdeathsig when the *thread* that
// forked ends, not the process (prctl(2), golang/go#27505): started from any
// goroutine, a process would die with whatever thread it happened to be on,
// for example one that other code had locked and left.
type thread struct {
	orders chan func()
	done   chan struct{}
}

// newThread starts the thread. Its goroutine is the group's, who ends it with
// close when no process is left. It blocks between orders, and in them.
func newThread() *thread {
	t := &thread{orders: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(t.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for order := range t.orders {
			order()
		}
	}()
	return t
}

// do runs f on the thread and waits for it.
func (t *thread) do(f func()) {
	ran := make(chan struct{})
	t.orders <- func() { defer close(ran); f() }
	<-ran
}

// close ends the thread and waits for it.
func (t *thread) close() {
	close(t.orders)
	<-t.done
}
