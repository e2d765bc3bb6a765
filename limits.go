package sluice

import "time"

// defaultListen is where HTTP is taken if the configuration does not say: for
// this machine only.
const defaultListen = "127.0.0.1:8080"

// socketMode lets everybody connect to a unix socket for HTTP, as everybody may
// to a port: who may is for its folder to say.
const socketMode = 0o666

// defaultIndex are the files that stand for a folder.
var defaultIndex = []string{"index.html", "index.php"}

const (
	// maxHeaderBytes is where net/http gives up on a request head by itself,
	// with a page of its own. The front end refuses far shorter ones with
	// ours.
	maxHeaderBytes = 1 << 20

	defaultHeaderTimeout = 10 * time.Second // for the whole head, so that a slow one cannot hold a connection
	defaultIdleTimeout   = 60 * time.Second
	defaultDrainTimeout  = 30 * time.Second
)
