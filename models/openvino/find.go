package openvino

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/cspine/cspine/models"
)

// find returns the path of the C library: in dir where that is given, else where Options.Dir says.
func find(dir string) (string, error) {
	folders := []string{dir}
	if dir == "" {
		folders = places()
	}
	for _, f := range folders {
		for _, sub := range []string{"", "openvino"} {
			files, err := filepath.Glob(filepath.Join(f, sub, "libopenvino_c.so*"))
			if err == nil && len(files) > 0 {
				slices.Sort(files)
				return filepath.Abs(files[len(files)-1])
			}
		}
	}
	where := "CSPINE_NATIVE_DIR and .native"
	if dir != "" {
		where = dir
	}
	return "", &models.Error{Code: models.CodeNoEngine, Detail: fmt.Sprintf("no libopenvino_c.so in %s", where), Remedy: remedy}
}

// places lists the folders to look in, the most particular first.
func places() []string {
	var all []string
	if dir := os.Getenv("CSPINE_NATIVE_DIR"); dir != "" {
		all = append(all, dir)
	}
	if exe, err := os.Executable(); err == nil {
		all = append(all, filepath.Join(filepath.Dir(exe), ".native"))
	}
	dir, err := os.Getwd()
	for err == nil {
		all = append(all, filepath.Join(dir, ".native"))
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return all
}
