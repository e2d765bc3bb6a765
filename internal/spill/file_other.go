//go:build !linux

package spill

import (
	"errors"
	"os"
)

// unnamed makes a file in dir and takes its name away.
func unnamed(dir string) (*os.File, error) { return named(dir) }

// punch cannot give a part of a file back here.
func punch(*os.File, int64, int64) error { return errors.ErrUnsupported }
