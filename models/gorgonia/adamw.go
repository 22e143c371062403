package gorgonia

import (
	"math"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/gorgonia/kernel"
)

// flat is all parameters one after the other, each beginning at a multiple of align, and what the optimiser keeps of each. Padding
// is zero in all, and AdamW leaves it so.
type flat struct {
	values, grads, first, second []float32
	sums                         []float32 // of earlier gradients, where an update has several; made when first needed
	trained                      int       // how many elements the loss depends on; they come first
}

func newFlat(n, trained int) *flat {
	return &flat{values: make([]float32, n), grads: make([]float32, n), first: make([]float32, n), second: make([]float32, n), trained: trained}
}

// normGrain is how many squares are summed before the sums of sums: fixed, so that no number of workers changes a bit.
const normGrain = 1 << 15

// norm returns the gradients' norm.
func (f *flat) norm(w *kernel.Workers) float64 {
	parts := make([]float64, (f.trained+normGrain-1)/normGrain)
	w.Do(len(parts), func(_, i int) {
		g := f.grads[i*normGrain : min(f.trained, (i+1)*normGrain)]
		parts[i] = kernel.Dot(g, g)
	})
	total := 0.0
	for _, p := range parts {
		total += p
	}
	return math.Sqrt(total)
}

// step takes the n-th step of AdamW, with gradients times scale.
func (f *flat) step(x *exec, a models.AdamW, rate float64, n int64, scale float32) {
	c1, c2 := 1-math.Pow(a.Beta1, float64(n)), 1-math.Pow(a.Beta2, float64(n))
	k := kernel.AdamStep{Scale: scale, Lerp: float32(1 - a.Beta1), Keep: float32(a.Beta2), Add: float32(1 - a.Beta2),
		Decay: float32(1 - rate*a.WeightDecay), Size: float32(rate / c1), Root: float32(math.Sqrt(c2)), Epsilon: float32(a.Epsilon)}
	x.span(f.trained, func(from, to int) {
		kernel.AdamW(f.values[from:to], f.first[from:to], f.second[from:to], f.grads[from:to], k)
	})
}
