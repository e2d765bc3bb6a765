package config

import (
	"errors"
	"fmt"
)

// ParseSize reads a number of bytes as a configuration has it: "64MiB".
func ParseSize(text string) (int64, error) {
	n, wrong, hint := parseSize(text)
	switch {
	case wrong != "" && hint != "":
		return 0, fmt.Errorf("size%s (%s)", wrong, hint)
	case wrong != "":
		return 0, errors.New("size" + wrong)
	case n > maxSize:
		return 0, fmt.Errorf("size is %s, want at most 1024TiB", text)
	}
	return n, nil
}
