// Package sdnotify tells the service manager how it is with us (sd_notify(3)).
package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// variable names the socket that the service manager listens on.
const variable = "NOTIFY_SOCKET"

// Ready says that the service does its work, or does it again after Reloading.
func Ready(status string) error { return send("READY=1", "STATUS="+line(status)) }

// Reloading says that the service is changing its configuration or its
// processes. Ready follows.
func Reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("sdnotify: clock: %w", err)
	}
	return send("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
}

// Stopping says that the service is about to end.
func Stopping() error { return send("STOPPING=1") }

// Main says that another process is the service from now on, and does its work.
func Main(pid int) error { return send("READY=1", fmt.Sprintf("MAINPID=%d", pid)) }

// send sends one datagram. Without a service manager that wants to know it does
// nothing.
func send(fields ...string) error {
	path := os.Getenv(variable)
	if path == "" {
		return nil
	}
	if path[0] != '/' && path[0] != '@' {
		return fmt.Errorf("sdnotify: %s is %q: want a path, or @ and a name", variable, path)
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		return fmt.Errorf("sdnotify: %w", err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(strings.Join(fields, "\n"))); err != nil {
		return fmt.Errorf("sdnotify: %w", err)
	}
	return nil
}

// line makes one line of s: another one would be another field.
func line(s string) string { return strings.ReplaceAll(s, "\n", " ") }
