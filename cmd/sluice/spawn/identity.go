package spawn

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
	"github.com/sluice-gateway/sluice/process"
)

// A directory knows users and groups; the system's, but in tests.
type directory struct {
	user      func(name string) (*user.User, error)
	userByID  func(id string) (*user.User, error)
	group     func(name string) (*user.Group, error)
	groupsOf  func(*user.User) ([]string, error)
	uid, gid  int // our own
	variables func(name string) string
}

func systemDirectory() directory {
	return directory{user.Lookup, user.LookupId, user.LookupGroup, (*user.User).GroupIds, os.Geteuid(), os.Getegid(), os.Getenv}
}

// planIdentity resolves the users and groups. The flags win over USERID and
// GROUPID, which count for root only, as in lighttpd's spawn-php.sh.
func (f *flags) planIdentity(p *plan) error { return f.identify(p, systemDirectory()) }

func (f *flags) identify(p *plan, d directory) (err error) {
	if d.uid != 0 {
		return f.identifyWithoutRoot(d)
	}
	userName, groupName := f.user, f.group
	if userName == "" && groupName == "" {
		userName, groupName = d.variables("USERID"), d.variables("GROUPID")
	}
	if userName != "" || groupName != "" {
		if p.credential, p.home, err = d.credential(userName, groupName); err != nil {
			return err
		}
	}
	return f.identifySocket(p, d)
}

// identifySocket says whom the unix socket belongs to.
func (f *flags) identifySocket(p *plan, d directory) error {
	if f.socketUser != "" {
		uid, u, err := d.lookupUser(f.socketUser)
		if err != nil {
			return err
		}
		p.socketUID = uid
		if u != nil {
			p.sockGID, _ = strconv.Atoi(u.Gid)
		}
	}
	if f.socketGroup != "" {
		gid, err := d.lookupGroup(f.socketGroup)
		if err != nil {
			return err
		}
		p.sockGID = gid
	}
	return nil
}

// identifyWithoutRoot refuses what only root can do, unless it changes nothing.
// spawn-fcgi does not do it either, but says nothing.
func (f *flags) identifyWithoutRoot(d directory) error {
	for _, flag := range []struct {
		name, value string
		same        func(string) bool
	}{
		{"-c", f.chroot, func(string) bool { return false }},
		{"-u", f.user, d.isUser},
		{"-g", f.group, d.isGroup},
		{"-U", f.socketUser, d.isUser},
		{"-G", f.socketGroup, d.isGroup},
	} {
		if flag.value != "" && !flag.same(flag.value) {
			return outcome.Failf("%s %s: only root may do that, and we are user %d", flag.name, flag.value, d.uid)
		}
	}
	return nil
}

func (d directory) isUser(name string) bool {
	uid, _, err := d.lookupUser(name)
	return err == nil && uid == d.uid
}

func (d directory) isGroup(name string) bool {
	gid, err := d.lookupGroup(name)
	return err == nil && gid == d.gid
}

// credential returns who the user, or the group, or both, are, and the user's
// folder if it is known.
func (d directory) credential(userName, groupName string) (c *process.Credential, home string, err error) {
	uid, gid := d.uid, -1
	var u *user.User
	if userName != "" {
		if uid, u, err = d.lookupUser(userName); err != nil {
			return nil, "", err
		}
	}
	if groupName != "" {
		if gid, err = d.lookupGroup(groupName); err != nil {
			return nil, "", err
		}
	}
	if gid < 0 {
		if u == nil {
			return nil, "", outcome.Failf("couldn't find the user for uid %d and no group was specified: give -g", uid)
		}
		gid, _ = strconv.Atoi(u.Gid)
	}
	if gid == 0 {
		return nil, "", outcome.Failf("I will not set gid to 0")
	}
	c = &process.Credential{UID: uint32(uid), GID: uint32(gid)}
	if u == nil {
		return c, "", nil
	}
	c.Groups, err = d.otherGroups(*u, gid)
	return c, u.HomeDir, err
}

// otherGroups returns the groups that a user is in if gid is his own, as
// initgroups(3) has it. The one of his entry in the database of users is then
// among them only if that of groups lists him.
func (d directory) otherGroups(u user.User, gid int) (groups []uint32, err error) {
	u.Gid = strconv.Itoa(gid)
	all, err := d.groupsOf(&u)
	if err != nil {
		return nil, outcome.Failf("the groups of user %s: %v", u.Username, err)
	}
	for _, g := range all {
		if n, err := strconv.ParseUint(g, 10, 32); err == nil && int(n) != gid {
			groups = append(groups, uint32(n))
		}
	}
	return groups, nil
}

// lookupUser returns the number of a user, and what is known of him: nil if
// that is nothing but the number.
func (d directory) lookupUser(name string) (uid int, u *user.User, err error) {
	if n, err := strconv.ParseUint(name, 10, 31); err == nil && n > 0 {
		u, err := d.userByID(name)
		if err != nil {
			if unknown := user.UnknownUserIdError(0); !errors.As(err, &unknown) {
				return 0, nil, outcome.Fail(fmt.Errorf("user %s: %w", name, err))
			}
			return int(n), nil, nil
		}
		return int(n), u, nil
	}
	if u, err = d.user(name); err != nil {
		return 0, nil, outcome.Failf("can't find user name %s", name)
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, nil, outcome.Failf("user %s has the number %q", name, u.Uid)
	}
	if uid == 0 {
		return 0, nil, outcome.Failf("I will not set uid to 0")
	}
	return uid, u, nil
}

func (d directory) lookupGroup(name string) (int, error) {
	if n, err := strconv.ParseUint(name, 10, 31); err == nil && n > 0 {
		return int(n), nil
	}
	g, err := d.group(name)
	if err != nil {
		return 0, outcome.Failf("can't find group name %s", name)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return 0, outcome.Failf("group %s has the number %q", name, g.Gid)
	}
	if gid == 0 {
		return 0, outcome.Failf("I will not set gid to 0")
	}
	return gid, nil
}
