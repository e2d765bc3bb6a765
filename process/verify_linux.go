package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

// verify reports in what a process that has just been started is not what s
// says. One that is not held may have changed itself already: of it is asked
// only what it can no longer change.
func (s *Spec) verify(pid int, held, ownUmask bool) *startError {
	c := s.credential()
	if c == nil && !s.Isolation.asked() {
		return nil
	}
	if failed := ownProc(); failed != nil {
		return failed
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return &startError{fmt.Sprintf("what became of it cannot be read: %v", err), "mount /proc"}
	}
	want := Isolation{NoNewPrivs: s.Isolation.NoNewPrivs}
	if held {
		want.Umask, want.Nice, want.Limits = s.Isolation.Umask, s.Isolation.Nice, s.Isolation.Limits
		if !ownUmask {
			want.Umask = nil // the shell will see to it
		}
	}
	if bound := held || c != nil && c.UID != 0; bound {
		want.Chroot = s.Isolation.Chroot
	} else {
		c = nil
	}
	why := parseStatus(b).differs(c, want)
	if why == "" {
		why = want.differs(pid)
	}
	if why == "" {
		return nil
	}
	return &startError{"it was killed, for " + why, "something changes what we ask for: a security module, or a user namespace"}
}

// A status is what /proc/PID/status says (proc(5)).
type status map[string]string

func parseStatus(b []byte) status {
	st := make(status)
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			st[name] = strings.TrimSpace(value)
		}
	}
	return st
}

// differs says in what the status differs from a credential and an isolation,
// "" if in nothing. What a kernel is too old to say does not differ.
func (st status) differs(c *Credential, want Isolation) string {
	if c != nil {
		for _, id := range []struct {
			name, key string
			want      uint32
		}{{"user", "Uid", c.UID}, {"group", "Gid", c.GID}} {
			has := strings.Fields(st[id.key]) // real, effective, saved, file system
			if other := func(s string) bool { return s != strconv.FormatUint(uint64(id.want), 10) }; len(has) != 4 || slices.ContainsFunc(has, other) {
				return fmt.Sprintf("its %s is %s, not %d", id.name, strings.Join(has, " "), id.want)
			}
		}
		var groups []string
		for _, g := range c.Groups {
			groups = append(groups, strconv.FormatUint(uint64(g), 10))
		}
		has := strings.Fields(st["Groups"])
		if !slices.Equal(sorted(has), sorted(groups)) {
			return fmt.Sprintf("its groups are %v, not %v", has, groups)
		}
	}
	if has, ok := st["NoNewPrivs"]; ok && want.NoNewPrivs && has != "1" {
		return "it may get new privileges"
	}
	if has, ok := st["Umask"]; ok && want.Umask != nil && has != fmt.Sprintf("%04o", uint32(*want.Umask)) {
		return fmt.Sprintf("its umask is %s, not %04o", has, uint32(*want.Umask))
	}
	return ""
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

// differentLimit says which limit differs from what /proc/PID/limits says.
func differentLimit(text string, want []Limit) string {
	for _, l := range want {
		title := resources[l.Name].title
		has := []string{"not known", "not known"}
		for line := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(line, title+" "); ok {
				has = append(strings.Fields(rest), has...)
			}
		}
		if has[0] != amount(l.Soft) || has[1] != amount(l.Hard) {
			return fmt.Sprintf("its limit is %s=%s:%s, not %v", l.Name, has[0], has[1], l)
		}
	}
	return ""
}

// differs says in what a process differs from the rest of an isolation.
func (i Isolation) differs(pid int) string {
	if n, err := niceness(pid); i.Nice != 0 && (err != nil || n != i.Nice) {
		return fmt.Sprintf("its niceness is %d (%v), not %d", n, err, i.Nice)
	}
	if len(i.Limits) > 0 {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
		if why := differentLimit(string(b), i.Limits); why != "" {
			return fmt.Sprintf("%s (%v)", why, err)
		}
	}
	if i.Chroot == "" {
		return ""
	}
	has, err := os.Stat(fmt.Sprintf("/proc/%d/root", pid))
	if errors.Is(err, fs.ErrPermission) {
		return "" // without CAP_SYS_PTRACE only chroot(2) itself can be trusted
	}
	want, missing := os.Stat(i.Chroot)
	if err != nil || missing != nil || !os.SameFile(has, want) {
		return fmt.Sprintf("its root is not %s (%v)", i.Chroot, errors.Join(err, missing))
	}
	return ""
}
