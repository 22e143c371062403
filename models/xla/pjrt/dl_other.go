//go:build !((linux || darwin) && (amd64 || arm64))

package pjrt

import (
	"errors"
	"runtime"
)

var errOther = errors.New("PJRT plugins are not used on " + runtime.GOOS + "/" + runtime.GOARCH)

func symbol(string, string) (uintptr, error) { return 0, errOther }

// Setenv fails here.
func Setenv(string, string) error { return errOther }
