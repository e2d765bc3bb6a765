package spawn

import (
	"fmt"
	"os/user"
	"reflect"
	"strings"
	"testing"
)

// testDirectory knows root, web (33, group 33, also in 50), both (35, group 35,
// and listed as a member of that and of 50) and odd, whose group is 0.
func testDirectory(uid int, variables map[string]string) directory {
	users := []user.User{
		{Username: "root", Uid: "0", Gid: "0", HomeDir: "/root"},
		{Username: "web", Uid: "33", Gid: "33", HomeDir: "/var/www"},
		{Username: "odd", Uid: "34", Gid: "0"},
		{Username: "both", Uid: "35", Gid: "35"},
	}
	find := func(is func(user.User) bool, err error) (*user.User, error) {
		for _, u := range users {
			if is(u) {
				return &u, nil
			}
		}
		return nil, err
	}
	return directory{
		user: func(name string) (*user.User, error) {
			return find(func(u user.User) bool { return u.Username == name }, user.UnknownUserError(name))
		},
		userByID: func(id string) (*user.User, error) {
			return find(func(u user.User) bool { return u.Uid == id }, user.UnknownUserIdError(1))
		},
		group: func(name string) (*user.Group, error) {
			if gid, ok := map[string]string{"wheel": "0", "web": "33", "logs": "50"}[name]; ok {
				return &user.Group{Gid: gid}, nil
			}
			return nil, user.UnknownGroupError(name)
		},
		groupsOf: func(u *user.User) ([]string, error) {
			if u.Username == "both" {
				return []string{u.Gid, "35", "50"}, nil
			}
			return []string{u.Gid, "50"}, nil
		},
		uid:       uid,
		gid:       uid,
		variables: func(name string) string { return variables[name] },
	}
}

// A whom is as whom processes run; nil: as ourselves.
type whom struct {
	uid, gid uint32
	groups   []uint32
	home     string
}

func whomOf(p *plan) *whom {
	if p.credential == nil {
		return nil
	}
	return &whom{p.credential.UID, p.credential.GID, p.credential.Groups, p.home}
}

func TestIdentity(t *testing.T) {
	web := &whom{33, 33, []uint32{50}, "/var/www"}
	script := map[string]string{"USERID": "web", "GROUPID": "logs"}
	tests := []struct {
		name      string
		flags     flags
		uid       int
		variables map[string]string
		want      *whom
		socket    [2]int // user and group of it
		err       string // a part of it
	}{
		{"nobody else", flags{}, 0, nil, nil, [2]int{-1, -1}, ""},
		{"user", flags{user: "web"}, 0, nil, web, [2]int{-1, -1}, ""},
		{"user by number", flags{user: "33"}, 0, nil, web, [2]int{-1, -1}, ""},
		{"user and group", flags{user: "web", group: "logs"}, 0, nil, &whom{33, 50, nil, "/var/www"}, [2]int{-1, -1}, ""},
		{"user and another group", flags{user: "web", group: "60"}, 0, nil, &whom{33, 60, []uint32{50}, "/var/www"}, [2]int{-1, -1}, ""},
		{"user who is listed in his group", flags{user: "both", group: "60"}, 0, nil, &whom{35, 60, []uint32{35, 50}, ""}, [2]int{-1, -1}, ""},
		{"user whose group is 0, and another", flags{user: "odd", group: "logs"}, 0, nil, &whom{34, 50, nil, ""}, [2]int{-1, -1}, ""},
		{"group", flags{group: "logs"}, 0, nil, &whom{0, 50, nil, ""}, [2]int{-1, -1}, ""},
		{"numbers without names", flags{user: "1234", group: "5678"}, 0, nil, &whom{1234, 5678, nil, ""}, [2]int{-1, -1}, ""},
		{"socket's user", flags{socketUser: "web"}, 0, nil, nil, [2]int{33, 33}, ""},
		{"socket's group", flags{user: "web", socketGroup: "logs"}, 0, nil, web, [2]int{-1, 50}, ""},
		{"socket's user and group", flags{socketUser: "web", socketGroup: "50"}, 0, nil, nil, [2]int{33, 50}, ""},
		{"the script's variables", flags{}, 0, script, &whom{33, 50, nil, "/var/www"}, [2]int{-1, -1}, ""},
		{"a flag before the variables", flags{user: "web"}, 0, map[string]string{"GROUPID": "logs"}, web, [2]int{-1, -1}, ""},
		{"the variables without root", flags{}, 33, script, nil, [2]int{-1, -1}, ""},
		{"ourselves", flags{user: "web", group: "web", socketUser: "33", socketGroup: "33"}, 33, nil, nil, [2]int{-1, -1}, ""},

		{"user 0", flags{user: "root"}, 0, nil, nil, [2]int{}, "I will not set uid to 0"},
		{"user by number 0", flags{user: "0"}, 0, nil, nil, [2]int{}, "can't find user name 0"},
		{"unknown user", flags{user: "wbe"}, 0, nil, nil, [2]int{}, "can't find user name wbe"},
		{"group 0", flags{group: "wheel"}, 0, nil, nil, [2]int{}, "I will not set gid to 0"},
		{"group 0 of a user", flags{user: "odd"}, 0, nil, nil, [2]int{}, "I will not set gid to 0"},
		{"unknown group", flags{group: "x"}, 0, nil, nil, [2]int{}, "can't find group name x"},
		{"socket's user 0", flags{socketUser: "root"}, 0, nil, nil, [2]int{}, "I will not set uid to 0"},
		{"number without name or group", flags{user: "1234"}, 0, nil, nil, [2]int{}, "give -g"},
		{"chroot without root", flags{chroot: "/x"}, 33, nil, nil, [2]int{}, "-c /x: only root"},
		{"user without root", flags{user: "odd"}, 33, nil, nil, [2]int{}, "-u odd: only root"},
		{"group without root", flags{group: "logs"}, 33, nil, nil, [2]int{}, "-g logs: only root"},
		{"socket's user without root", flags{socketUser: "odd"}, 33, nil, nil, [2]int{}, "-U odd: only root"},
		{"socket's group without root", flags{socketGroup: "logs"}, 33, nil, nil, [2]int{}, "-G logs: only root"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &plan{socketUID: -1, sockGID: -1}
			err := tt.flags.identify(p, testDirectory(tt.uid, tt.variables))
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("%v, want %q", err, tt.err)
			}
			if err == nil && (!reflect.DeepEqual(whomOf(p), tt.want) || [2]int{p.socketUID, p.sockGID} != tt.socket) {
				t.Errorf("%s, socket of %d:%d, want %+v, %v", fmt.Sprintf("%+v", whomOf(p)), p.socketUID, p.sockGID, tt.want, tt.socket)
			}
		})
	}
}
