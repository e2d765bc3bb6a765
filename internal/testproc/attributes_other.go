//go:build !linux

package testproc

import "syscall"

// Attributes are those of a program in a process group of its own.
func Attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
