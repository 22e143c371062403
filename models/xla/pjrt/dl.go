//go:build (linux || darwin) && (amd64 || arm64)

package pjrt

import (
	"fmt"

	"github.com/ebitengine/purego"
)

// symbol opens a library and finds a function in it.
func symbol(path, name string) (uintptr, error) {
	library, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return 0, err
	}
	f, err := purego.Dlsym(library, name)
	if err != nil {
		return 0, fmt.Errorf("%s is no PJRT plugin: %w", path, err)
	}
	return f, nil
}

// Setenv sets a variable where C code sees it: without cgo, os.Setenv changes Go's own copy alone.
func Setenv(name, value string) error {
	f, err := purego.Dlsym(purego.RTLD_DEFAULT, "setenv")
	if err != nil {
		return err
	}
	var setenv func(name, value string, overwrite int32) int32
	purego.RegisterFunc(&setenv, f)
	if setenv(name, value, 1) != 0 {
		return fmt.Errorf("pjrt: setting %s", name)
	}
	return nil
}
