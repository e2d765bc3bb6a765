//go:build !linux

package process

func (s *socket) queued() int { return -1 }
