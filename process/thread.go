package process

import "runtime"

// A thread starts all processes of a group from one thread of the kernel that
// lives as long as they do. Linux sends Pdeathsig when the *thread* that
// forked ends, not the process (prctl(2), golang/go#27505): started from any
// goroutine, a process would die with whatever thread it happened to be on,
// for example one that other code had locked and left.
//
// The thread also is what its processes shall be, in umask, niceness and
// privileges, so it is never given back to other goroutines.
type thread struct {
	orders chan func()
	began  chan struct{}
	done   chan struct{}
}

// newThread starts the thread. Its goroutine is the group's, who ends it with
// close when no process is left. It blocks between orders, and in them.
func newThread() *thread {
	t := &thread{orders: make(chan func()), began: make(chan struct{}), done: make(chan struct{})}
	go t.run()
	return t
}

// run takes orders. The kernel's thread ends with its goroutine, which is
// still locked to it then.
func (t *thread) run() {
	runtime.LockOSThread()
	if onMainThread() {
		// This one cannot end, and it is what others see of us. As long as
		// it is held here the next goroutine gets another.
		go t.run()
		<-t.began
		runtime.UnlockOSThread()
		return
	}
	close(t.began)
	defer close(t.done)
	for order := range t.orders {
		order()
	}
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
