package recipe

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/process"
)

// credentialOf finds out as whom processes run, nil for ourselves. They are in
// all groups that the account is a member of, and in no others.
func credentialOf(as config.Account) (*process.Credential, error) {
	if as.User == "" {
		return nil, nil
	}
	account, err := accountOf(as)
	if err != nil {
		return nil, err
	}
	c, err := credential(account)
	if err != nil {
		return nil, err
	}
	if groups, err := account.GroupIds(); err == nil {
		for _, g := range groups {
			if n, err := strconv.ParseUint(g, 10, 32); err == nil {
				c.Groups = append(c.Groups, uint32(n))
			}
		}
	}
	return c, nil
}

// accountOf finds an account that is configured. A group that is configured, too,
// is in the place of the account's own, as for initgroups(3).
func accountOf(as config.Account) (*user.User, error) {
	account, err := lookup(as.User, user.Lookup, lookUID)
	if err != nil {
		return nil, fmt.Errorf("there is no user %q on this machine", as.User)
	}
	if as.Group == "" {
		return account, nil
	}
	group, err := lookup(as.Group, user.LookupGroup, lookGID)
	if err != nil {
		return nil, fmt.Errorf("there is no group %q on this machine", as.Group)
	}
	with := *account
	with.Gid = group.Gid
	return &with, nil
}

// lookup finds what a name, or else a number, stands for.
func lookup[T any](text string, byName func(string) (*T, error), byNumber func(uint32) (*T, error)) (*T, error) {
	found, err := byName(text)
	if err == nil {
		return found, nil
	}
	if n, e := strconv.ParseUint(text, 10, 32); e == nil {
		return byNumber(uint32(n))
	}
	return nil, err
}

func lookGID(gid uint32) (*user.Group, error) {
	return &user.Group{Gid: strconv.FormatUint(uint64(gid), 10)}, nil
}

// phpAccount says as whom PHP runs: nil for our own user. Root does not run
// other people's scripts as root: the owner of the files does, and if that is
// root too, the account that web servers have.
func phpAccount(root string) (*user.User, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
		return lookUID(uid)
	}
	for _, name := range []string{"www-data", "http", "apache", "nginx", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return u, nil
		}
	}
	return nil, fmt.Errorf("php would run as root: give %s to another user, or start sluice as one", root)
}

// lookUID finds an account; an id without one is used as it is, with the same
// number as its group.
func lookUID(uid uint32) (*user.User, error) {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u, nil
	}
	return &user.User{Uid: id, Gid: id, Username: id}, nil
}

// credential turns an account into what package process wants.
func credential(u *user.User) (*process.Credential, error) {
	if u == nil {
		return nil, nil
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := cmp.Or(err1, err2); err != nil {
		return nil, err
	}
	return &process.Credential{UID: uint32(uid), GID: uint32(gid)}, nil
}
