// Package nets builds this project's networks as ONNX files with fresh weights.
//
// Invariants:
//   - The same options and the same seed must give the same bytes.
//   - Weights must start as the network's paper, or PyTorch, starts them, so that a training here and one there are alike.
//   - A network must name its nodes and weights after its parts, so that errors, curves and checkpoints can be read.
package nets

import (
	"fmt"

	"github.com/cspine/cspine/models/onnx"
)

// volume declares the input of a network that finds vertebrae.
func (l *layers) volume(channels, size int) tensor {
	return tensor{l.Input("volume", onnx.Fixed(l.dims(size, 1, channels)...)), channels, size}
}

func or(v, standard int) int {
	if v == 0 {
		return standard
	}
	return v
}

// Bounds on what can be asked for, so that a slip of the pen is an error and not a file of gigabytes.
const (
	maxSize     = 1024
	maxChannels = 1024
)

func check(network string, size, multiple, channels, classes int) error {
	switch {
	case size < multiple || size%multiple != 0 || size > maxSize:
		return fmt.Errorf("nets: %s: size %d is not a multiple of %d up to %d", network, size, multiple, maxSize)
	case channels < 1 || channels > maxChannels:
		return fmt.Errorf("nets: %s: %d input channels are not between 1 and %d", network, channels, maxChannels)
	case classes < 1 || classes > maxChannels:
		return fmt.Errorf("nets: %s: %d classes are not between 1 and %d", network, classes, maxChannels)
	}
	return nil
}
