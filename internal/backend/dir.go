package backend

import (
	"os"

	"github.com/sluice-gateway/sluice/process"
)

// runtimeDir is where folders of sockets are made: short, ours, and gone after
// a restart of the machine. A root shell made by su may have the XDG_RUNTIME_DIR
// of another, and the /tmp of a container may be open to anybody.
func runtimeDir() string {
	const memory = "/dev/shm"
	tmp := os.TempDir()
	switch dir := os.Getenv("XDG_RUNTIME_DIR"); {
	case dir != "" && process.CanHold(dir):
		return dir
	case !process.CanHold(tmp) && isFolder(tmp) && process.CanHold(memory):
		return memory
	}
	return tmp // what is wrong with it will be said
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
