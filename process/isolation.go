package process

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// An Isolation says what a process cannot do that we can. The zero Isolation
// changes nothing. What it asks for, and the Credential, is set before the
// program has run its first instruction, and verified then; a process that is
// not what was asked for is killed.
//
// The order is the kernel's: chroot, groups, group, user, and then the working
// folder, which lies inside the chroot.
//
// To stop a program before its first instruction takes the kernel's means for
// debuggers. So a command that itself has the setuid bit or file capabilities
// does not get more rights by them, unless we may debug everything
// (CAP_SYS_PTRACE). Where debugging is forbidden the limits are set, and all is
// verified, a moment after the program has begun.
type Isolation struct {
	// Chroot is the folder that the process sees as /. Command, Dir and PATH
	// are then paths inside it, and Dir is / if it is empty. Nobody but its
	// owner may be able to write to the folder. A process that stays root can
	// leave it again: give a Credential, too.
	Chroot string

	// Umask is which permissions new files do not get. Nil means ours.
	Umask *fs.FileMode

	// Nice is the process's priority, 19 for the lowest, -20 for the highest
	// (not an increment). Zero means ours.
	Nice int

	// NoNewPrivs keeps programs with the setuid bit or file capabilities from
	// giving rights to the process, and to all that it starts.
	NoNewPrivs bool

	// Limits are the resource limits of the process. Those not named are
	// ours.
	Limits []Limit
}

// A Limit is one resource limit (setrlimit(2)): the soft one counts, and the
// process may raise it up to the hard one.
type Limit struct {
	Name       string // as in ulimit and systemd: "nofile", "as", "core" ...
	Soft, Hard uint64 // in the kernel's units; Unlimited for no limit
}

// Unlimited is the Limit that is none.
const Unlimited = math.MaxUint64

// String returns the limit as it is written in limits.conf(5) and by systemd.
func (l Limit) String() string {
	return l.Name + "=" + amount(l.Soft) + ":" + amount(l.Hard)
}

func amount(n uint64) string {
	if n == Unlimited {
		return "unlimited"
	}
	return fmt.Sprint(n)
}

// asked reports whether the process differs from us in any way.
func (i *Isolation) asked() bool {
	return i.Chroot != "" || i.Umask != nil || i.Nice != 0 || i.NoNewPrivs || len(i.Limits) > 0
}

// powers are what the kernel lets us do to a process.
type powers struct {
	root, ids, limits, nice bool // change it, that is, beyond what everybody may

	uid, gid  int
	groups    []int             // the supplementary ones
	hard      map[string]uint64 // our hard limits; the keys are the names that there are
	mostFiles uint64            // of a process, whoever asks; 0 if it is not known
	blind     *startError       // why we cannot see what a process is; nil if we can
	niceness  int               // ours
	nicest    int               // that everybody may have
}

// possible reports what of the isolation, and the Credential, cannot be had.
func (s *Spec) possible(p powers) *startError {
	return cmp.Or(s.possibleView(p), s.possibleIDs(p), s.Isolation.possibleRoot(p), s.Isolation.possibleHere(p), s.Isolation.possibleLimits(p))
}

// possibleView reports that we cannot see what we would have to look at.
func (s *Spec) possibleView(p powers) *startError {
	if s.credential() == nil && !s.Isolation.asked() && s.MaxMemory == 0 {
		return nil
	}
	return p.blind
}

func (s *Spec) possibleIDs(p powers) *startError {
	c := s.Credential
	if c == nil || p.ids {
		return nil
	}
	if int(c.UID) != p.uid || int(c.GID) != p.gid {
		return &startError{fmt.Sprintf("it shall run as user %d and group %d, and we are user %d and group %d", c.UID, c.GID, p.uid, p.gid),
			"only root may choose: start us as root, or leave its user out"}
	}
	for _, g := range c.Groups {
		if int(g) != p.gid && !slices.Contains(p.groups, int(g)) {
			return &startError{fmt.Sprintf("it shall be in group %d, and we are not", g), "only root may choose: start us as root, or leave that out"}
		}
	}
	return nil
}

func (i *Isolation) possibleRoot(p powers) *startError {
	if i.Chroot == "" {
		return nil
	}
	what := "chroot " + i.Chroot
	switch info, err := os.Stat(i.Chroot); {
	case !filepath.IsAbs(i.Chroot):
		return &startError{what + " is not a whole path", "begin it with /"}
	case !p.root:
		return &startError{what + " is not permitted", "only root may: start us as root (or with CAP_SYS_CHROOT), or leave it out"}
	case errors.Is(err, fs.ErrNotExist):
		return &startError{what + " is not there", "make the folder, with the application and all that it needs in it"}
	case err != nil:
		return &startError{fmt.Sprintf("%s: %v", what, reason(err)), "correct the path"}
	case !info.IsDir():
		return &startError{what + " is not a folder", "name the folder that the process shall see as /"}
	default:
		return notReplaced(i.Chroot, info)
	}
}

// notReplaced reports that somebody besides its owner could replace a folder that
// is to be a root, or what is in it.
func notReplaced(root string, info fs.FileInfo) *startError {
	_, err := trust{users: []int{0, os.Geteuid(), userOf(info)}, alone: true}.resolve(root)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*startError](err); ok {
		return &startError{"chroot " + root + ": " + e.what, e.advice}
	}
	return &startError{fmt.Sprintf("chroot %s: %v", root, err), "correct the path"}
}

func (i *Isolation) possibleHere(p powers) *startError {
	if !canIsolate && (i.Umask != nil || i.Nice != 0 || i.NoNewPrivs || len(i.Limits) > 0) {
		return &startError{"umask, nice, no_new_privs and limits", "they need Linux: leave them out"}
	}
	if i.Umask != nil && *i.Umask&^0o777 != 0 {
		return &startError{fmt.Sprintf("umask %#o", uint32(*i.Umask)), "want 0 to 0777"}
	}
	switch {
	case i.Nice < -20 || i.Nice > 19:
		return &startError{fmt.Sprintf("nice %d", i.Nice), "want -20, the highest priority, to 19, the lowest"}
	case i.Nice != 0 && i.Nice < min(p.niceness, p.nicest) && !p.nice:
		return &startError{fmt.Sprintf("nice %d is not permitted: ours is %d", i.Nice, p.niceness),
			fmt.Sprintf("only root may go below (or CAP_SYS_NICE): start us as root, or choose %d to 19", max(min(p.niceness, p.nicest), -20))}
	}
	return nil
}

func (i *Isolation) possibleLimits(p powers) *startError {
	seen := make(map[string]bool)
	for _, l := range i.Limits {
		if err := l.possible(p); err != nil {
			return err
		}
		if seen[l.Name] {
			return &startError{"limit " + l.Name + " is given twice", "leave one out"}
		}
		seen[l.Name] = true
	}
	return nil
}

func (l Limit) possible(p powers) *startError {
	hard, known := p.hard[l.Name]
	switch {
	case !known:
		names := make([]string, 0, len(p.hard))
		for name := range p.hard {
			names = append(names, name)
		}
		slices.Sort(names)
		return &startError{fmt.Sprintf("there is no limit %q", l.Name), "want one of " + strings.Join(names, ", ")}
	case l.Soft > l.Hard:
		return &startError{fmt.Sprintf("limit %v: the soft one is above the hard one", l), "lower the first, or raise the second"}
	case l.Name == "nofile" && p.mostFiles > 0 && l.Hard > p.mostFiles:
		return &startError{fmt.Sprintf("limit %v: no process may have more than %d files", l, p.mostFiles),
			"lower it, or raise sysctl fs.nr_open"}
	case l.Hard > hard && !p.limits:
		return &startError{fmt.Sprintf("limit %v: our own hard limit is %s", l, amount(hard)),
			"only root may go above (or CAP_SYS_RESOURCE): start us as root, or lower it"}
	}
	return nil
}
