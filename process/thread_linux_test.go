package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A process does not end with a thread: Linux takes the death of the thread
// that forked for the death of the parent.
func TestOutlivesThreads(t *testing.T) {
	g, _ := newGroup(t, Spec{Name: "app", Args: []string{"/bin/sleep", "60"}, Backoff: Backoff{Min: time.Millisecond, Limit: -1}}, 1)
	// A goroutine that ends without unlocking takes its thread with it.
	onDyingThread := func(f func()) {
		done := make(chan int)
		go func() {
			runtime.LockOSThread()
			f()
			done <- syscall.Gettid()
		}()
		tid := <-done
		eventually(t, "the end of a thread", func() bool {
			return syscall.Tgkill(os.Getpid(), tid, 0) != nil || tid == os.Getpid() // the first thread never ends
		})
	}
	onDyingThread(func() {
		if err := g.Start(); err != nil {
			t.Error(err)
		}
	})
	for range 3 {
		st := untilState(t, g, Ready)
		for range 20 {
			onDyingThread(func() { g.Status() })
		}
		if now := g.Status()[0]; now.PID != st.PID || now.Deaths != st.Deaths {
			t.Fatalf("Status = %+v, want process %d still there", now, st.PID)
		}
		syscall.Kill(st.PID, syscall.SIGKILL)
		eventually(t, "the successor", func() bool { s := g.Status()[0]; return s.State == Ready && s.PID != st.PID })
	}
}

// A thread is one of its own, and never the first of the process.
func TestThread(t *testing.T) {
	thread := newThread()
	var tid int
	thread.do(func() {
		tid = unix.Gettid()
		if _, failed := (&Isolation{Umask: umask(0o777)}).settle(); failed != nil {
			t.Error(failed)
		}
	})
	if tid == os.Getpid() {
		t.Error("it is the first of the process")
	}
	file := fmt.Sprintf("/proc/self/task/%d", tid)
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(tasks) < 2 {
		t.Fatalf("%d threads, %v", len(tasks), err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue // it has ended
		}
		if is, its := parseStatus(b)["Umask"] == "0777", filepath.Dir(task) == file; is != its {
			t.Errorf("%s has umask 0777: %v, want %v", task, is, its)
		}
	}
	thread.close()
	eventually(t, "the end of the thread", func() bool { _, err := os.Stat(file); return err != nil })
}

// threadOnMain is the child of TestThreadOnMain, locked to the first thread.
func threadOnMain() error {
	thread := &thread{orders: make(chan func()), began: make(chan struct{}), done: make(chan struct{})}
	if !onMainThread() {
		return fmt.Errorf("this is not the first thread")
	}
	thread.run() // as if the scheduler had chosen this one
	thread.do(func() { fmt.Println("on the first thread:", onMainThread()) })
	thread.close()
	return nil
}

func init() {
	moreParts["first-thread"] = threadOnMain
	if os.Getenv(childMode) == "first-thread" {
		runtime.LockOSThread()
	}
}

func TestThreadOnMain(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = CleanEnv(childMode+"=first-thread", "GORACE=atexit_sleep_ms=0")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "on the first thread: false\n" {
		t.Errorf("it says %q, %v", out, err)
	}
}
