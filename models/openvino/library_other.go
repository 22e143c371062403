//go:build !(linux && (amd64 || arm64))

package openvino

import (
	"errors"
	"runtime"
)

// library stands in where the native library is not served; open always fails.
type library struct {
	modelFree, compiledFree func(uintptr)
	requestFree, tensorFree func(uintptr)
	inputsSize, outputsSize func(uintptr, *uint64) int32
	input, output           func(uintptr, uint64, *uintptr) int32
	requestCreate           func(uintptr, *uintptr) int32
	requestInfer            func(uintptr) int32
	setInput, setOutput     func(uintptr, uint64, uintptr) int32
}

const float32C = 4

var errOther = errors.New("OpenVINO is used on Linux only, this is " + runtime.GOOS + "/" + runtime.GOARCH)

func open(string) (*library, error)                                    { return nil, errOther }
func (l *library) check(func() int32) error                            { return errOther }
func (l *library) newCore() (uintptr, error)                           { return 0, errOther }
func (l *library) version() (string, error)                            { return "", errOther }
func (l *library) property(uintptr, string) (string, error)            { return "", errOther }
func (l *library) readModel(uintptr, []byte) (uintptr, error)          { return 0, errOther }
func (l *library) compile(uintptr, uintptr, []string) (uintptr, error) { return 0, errOther }
func (l *library) tensor([]int, []float32) (uintptr, error)            { return 0, errOther }

func (l *library) port(func(uintptr, uint64, *uintptr) int32, uintptr, int) (string, int32, []int, error) {
	return "", 0, nil, errOther
}
