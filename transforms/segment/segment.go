// Package segment makes a study's mask: for each voxel of the 128³ volume, how surely it belongs to each of
// the seven cervical vertebrae. Networks say so (Infer), or a label image drawn by a person (FromLabels).
//
// Invariants:
//   - A mask is uint8 [level, rows, columns, slices], 255 for certain; its slices are those that the volume has.
//   - A label image is brought to the slices by the affines of both, never by the order of its axes.
//   - No mask is made up: values that are no probabilities are an error, and what a label image does not
//     show is told in its Coverage.
package segment

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/models"
)

// Size is the length of a mask's row and column axes.
const Size = 128

// The reason codes of this package's refusals.
const (
	CodePorts         refusal.Code = "model_ports"       // the model is no segmentation network for 128³ volumes
	CodeProbabilities refusal.Code = "no_probabilities"  // the model's output leaves [0, 1], or is NaN
	CodeLabels        refusal.Code = "unusable_labels"   // the label image has no integer labels, or no volume
	CodeGeometry      refusal.Code = "unusable_geometry" // an affine that can't be inverted
)

// Infer runs networks on a volume, uint8 [128, 128, 128], whose values they are given divided by 255, and returns the
// mask: the mean of their outputs times 255, rounded half up. The mean is the method's ensemble of folds.
//
// Each network must have one input [1, C, 128, 128, 128], C being 1 or 3 (the volume is then repeated), and one
// output [1, 7, 128, 128, 128] of probabilities; other ports or values are a refusal.Error. Compile them with
// models.CompileOptions.EqualChannels. Infer takes 58 MB for the outputs, as much again for the sum of several, 8 or 25 for the inputs,
// besides the networks' own.
func Infer(ctx context.Context, nets []models.Network, vol *npy.Array) (*npy.Array, error) {
	if want := []int{Size, Size, Size}; vol.DType != npy.Uint8 || !slices.Equal(vol.Shape, want) {
		return nil, fmt.Errorf("segment: the volume is %s %v, not %s %v", vol.DType, vol.Shape, npy.Uint8, want)
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	for i, net := range nets {
		channels, err := CheckPorts(net)
		if err != nil {
			return nil, err
		}
		if err := net.Infer(ctx, [][]float32{s.input(channels, vol.Data)}, [][]float32{s.out[:]}); err != nil {
			return nil, fmt.Errorf("segment: %w", err)
		}
		if len(nets) > 1 {
			s.add(i == 0)
		}
	}
	probabilities := s.out[:]
	if n := len(nets); n > 1 {
		probabilities = s.sum
		for i := range probabilities {
			probabilities[i] /= float32(n)
		}
	}
	mask := npy.New(npy.Uint8, volume.Levels, Size, Size, Size)
	if i := quantise(mask.Data, probabilities); i >= 0 {
		return nil, refusal.New(CodeProbabilities, "use a model whose last layer is a sigmoid, and whose weights are finite",
			"output %d of the model is %g, not from 0 to 1", i, probabilities[i])
	}
	return mask, nil
}

// CheckPorts tells whether Infer can use the network, and the number of its input's channels.
func CheckPorts(net models.Network) (channels int, err error) {
	in, out := net.Inputs(), net.Outputs()
	want := []int{1, volume.Levels, Size, Size, Size}
	ok := len(in) == 1 && len(out) == 1 && slices.Equal(out[0].Shape, want)
	for _, c := range []int{1, 3} {
		if ok && slices.Equal(in[0].Shape, []int{1, c, Size, Size, Size}) {
			return c, nil
		}
	}
	return 0, refusal.New(CodePorts, "use a model exported for 128x128x128 volumes, batch 1, and seven vertebrae",
		"expected one input [1 1 or 3 128 128 128] and one output %v, got inputs %s and outputs %s", want, shapes(in), shapes(out))
}

func shapes(ports []models.Port) string {
	s := ""
	for i, p := range ports {
		if i > 0 {
			s += ", "
		}
		s += fmt.Sprintf("%v", p.Shape)
	}
	return "(" + s + ")"
}

const voxels = Size * Size * Size

// scratch is a call's buffers, kept for the next one.
type scratch struct {
	in  []float32
	out [volume.Levels * voxels]float32
	sum []float32 // of several networks' outputs; allocated when first wanted
}

// add adds the outputs to the sum, which first begins.
func (s *scratch) add(first bool) {
	if s.sum == nil {
		s.sum = make([]float32, len(s.out))
	}
	if first {
		copy(s.sum, s.out[:])
		return
	}
	for i, v := range s.out {
		s.sum[i] += v
	}
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// input returns the volume as the network's input, repeated for each channel.
func (s *scratch) input(channels int, values []uint8) []float32 {
	if len(s.in) < channels*voxels {
		s.in = make([]float32, channels*voxels)
	}
	fill(s.in, values)
	for c := 1; c < channels; c++ {
		copy(s.in[c*voxels:(c+1)*voxels], s.in[:voxels])
	}
	return s.in[:channels*voxels]
}

// Input returns what a network of one channel is given of a volume's values.
func Input(values []uint8) []float32 {
	in := make([]float32, len(values))
	fill(in, values)
	return in
}

// fill writes what a network is given of grey values to the beginning of in.
func fill(in []float32, values []uint8) {
	for i, v := range values {
		in[i] = volume.Shares[v]
	}
}

// quantise writes 255 times each probability, rounded. It returns the index of the first value that is none, or −1.
func quantise(dst []uint8, p []float32) int {
	dst = dst[:len(p)]
	for i, v := range p {
		if !(v >= 0 && v <= 1) {
			return i
		}
		dst[i] = uint8(int32(v*255 + 0.5))
	}
	return -1
}
