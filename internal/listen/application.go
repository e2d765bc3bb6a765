package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"net"

	"github.com/sluice-gateway/sluice/internal/address"
)

// An Application is who listens, for errors that say what to do.
type Application struct {
	Protocol string // "fastcgi"
	Example  string // a TCP address such an application may have
}

// applicationMode is what a unix socket gets if nothing else is said: the user
// and the group of the application may connect.
const applicationMode fs.FileMode = 0o660

// Listen listens on an address as people write it. A mode of zero means 0660.
func (a Application) Listen(addr string, c Config) (net.Listener, error) {
	at, err := address.Parse(addr)
	if err != nil {
		return nil, fmt.Errorf("%s: listen: %w", a.Protocol, err)
	}
	if c.Mode == 0 {
		c.Mode = applicationMode
	}
	l, err := c.Listen(at)
	if err != nil {
		return nil, fmt.Errorf("%s: listen on %v: %w", a.Protocol, at, a.advise(err))
	}
	return l, nil
}

// Inherited is the function Inherited.
func (a Application) Inherited() ([]net.Listener, error) {
	all, err := Inherited()
	if err != nil {
		return nil, fmt.Errorf("%s: listen: %w", a.Protocol, a.advise(err))
	}
	return all, nil
}

// advise says what to do about a socket that is none.
func (a Application) advise(err error) error {
	if errors.Is(err, ErrNotListening) {
		return fmt.Errorf("%w: start this program with sluice or spawn-fcgi, or give it an address such as unix:/run/app.sock or %s", err, a.Example)
	}
	return err
}
