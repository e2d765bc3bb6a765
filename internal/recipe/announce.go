package recipe

import (
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// Announce says that PHP is started, and what will keep it from finding its
// scripts. It is silent about other applications.
func (r *Recipe) Announce(log *slog.Logger) {
	if r.cfg.PHP == "" {
		return
	}
	as := "ourselves"
	if r.account != nil {
		as = r.account.Username
		if dir := closedTo(r.root, r.account); dir != "" {
			log.Error("php cannot come to the root: its scripts will not be found",
				slog.String("root", r.root), slog.String("as", as), slog.String("closed", dir),
				slog.String("hint", "let "+as+" enter "+dir+" (chmod o+x), or move the root"))
		}
	}
	log.Info("starting php", slog.String("program", r.php.Path), slog.Int("processes", mostProcesses(r.cfg)), slog.String("as", as))
}

// closedTo returns the first folder on the way to root, and root itself, that
// an account may not enter by its mode; empty if there is none. php-fpm would
// only say "Primary script unknown".
func closedTo(root string, u *user.User) string {
	for at := 0; at <= len(root); at++ {
		if at < len(root) && root[at] != '/' {
			continue
		}
		dir := root[:max(at, 1)]
		info, err := os.Stat(dir)
		if err != nil {
			return dir
		}
		may := fs.FileMode(0o001)
		st := info.Sys().(*syscall.Stat_t)
		switch {
		case strconv.Itoa(int(st.Uid)) == u.Uid:
			may = 0o100
		case strconv.Itoa(int(st.Gid)) == u.Gid:
			may = 0o010
		}
		if info.Mode().Perm()&may == 0 {
			return dir
		}
	}
	return ""
}
