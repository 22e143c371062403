package classify

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/resize"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/models"
)

// The reason codes of this package's refusals.
const (
	CodePorts  refusal.Code = "classifier_ports" // the compiled network's ports are not what its file said
	CodeLogits refusal.Code = "no_logits"        // the network's output is not finite
)

// cropBytes is the size of a crop.
const cropBytes = Positions * Planes * Size * Size

// planes is the number of values that a network is given of one crop.
func (s Spec) planes() int { return Positions * Planes * s.Height * s.Width }

// Logits is the number of values that a network answers of one study's vertebra, or of a whole study: those by slice and, of type 2, the patient's.
func (s Spec) Logits() int {
	if s.Type == Patient {
		return volume.Levels*Positions + 1
	}
	return Positions
}

// Input writes what a network is given of a crop, uint8 [15, 6, 224, 224], to in: [15, 6, Height, Width], means of blocks divided by
// 255. small is a buffer for uint8, grown as needed and returned.
func Input(in []float32, crop []uint8, s Spec, small []uint8) ([]uint8, error) {
	if len(crop) != cropBytes || len(in) != s.planes() {
		return small, fmt.Errorf("classify: a crop of %d bytes for an input of %d values; a crop has %d bytes, the input %d values", len(crop), len(in), cropBytes, s.planes())
	}
	if by := Size / s.Height; by > 1 {
		small = slices.Grow(small[:0], s.planes())[:s.planes()]
		resize.Blocks(crop, Size, by, small)
		crop = small
	}
	for i, v := range crop {
		in[i] = volume.Shares[v]
	}
	return small, nil
}

// Ask runs a network on what Input made of a vertebra, or of all seven one after the other (zeros where one was not found), and returns its
// logits: 15 by slice, or 105 and the patient's. With flips they are the mean of those of in and of its mirror image; in is mirrored
// and back meanwhile, and must not be shared.
func Ask(ctx context.Context, net models.Network, s Spec, in []float32, flips bool) ([]float32, error) {
	if err := checkPorts(net, s); err != nil {
		return nil, err
	}
	logits, err := ask(ctx, net, s, in)
	if err != nil || !flips {
		return logits, err
	}
	mirror(in, s.Width)
	mirrored, err := ask(ctx, net, s, in)
	mirror(in, s.Width)
	if err != nil {
		return nil, err
	}
	for i, z := range mirrored {
		logits[i] = (logits[i] + z) / 2
	}
	return logits, nil
}

func ask(ctx context.Context, net models.Network, s Spec, in []float32) ([]float32, error) {
	logits := make([]float32, s.Logits())
	outputs := [][]float32{logits}
	if s.Type == Patient {
		outputs = [][]float32{logits[:len(logits)-1], logits[len(logits)-1:]}
	}
	if err := net.Infer(ctx, [][]float32{in}, outputs); err != nil {
		return nil, fmt.Errorf("classify: %w", err)
	}
	for i, z := range logits {
		if v := float64(z); math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, refusal.New(CodeLogits, "use a model whose weights are finite, in f32", "logit %d of the classifier is %g", i, z)
		}
	}
	return logits, nil
}

// mirror exchanges left and right: columns run from the patient's right to their left.
func mirror(in []float32, width int) {
	for len(in) > 0 {
		slices.Reverse(in[:width])
		in = in[width:]
	}
}

// checkPorts tells whether a compiled network is what its file said.
func checkPorts(net models.Network, s Spec) error {
	n := s.Crops() * Positions
	want := [][]int{{1, n, Planes, s.Height, s.Width}, {1, n}}
	if s.Type == Patient {
		want = append(want, []int{1, 1})
	}
	var have [][]int
	for _, p := range slices.Concat(net.Inputs(), net.Outputs()) {
		have = append(have, p.Shape)
	}
	if len(net.Inputs()) == 1 && slices.EqualFunc(want, have, slices.Equal[[]int]) {
		return nil
	}
	return refusal.New(CodePorts, "report this with the model's 'cspine model info'", "the network's ports are %v, its file said %v", have, want)
}
