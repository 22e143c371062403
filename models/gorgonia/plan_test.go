package gorgonia

import (
	"math"
	"slices"
	"testing"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/modelstest"
	"github.com/cspine/cspine/models/nets"
)

// Small networks have few positions, and would all be computed the plain way.
func TestConvolutionsOfDoubledValuesAgreeWithPyTorch(t *testing.T) {
	defer func(n int) { leastDoubled = n }(leastDoubled)
	leastDoubled = 1
	modelstest.RunTraining(t, New())
}

var sizes = []struct {
	name    string
	network nets.Network
	size    int
	batch   int
}{
	{"small, batch 1", nets.Networks[0], 32, 1},
	{"small, batch 2", nets.Networks[0], 32, 2},
	{"resnet, batch 1", nets.Networks[1], 32, 1},
	{"resnet, batch 2", nets.Networks[1], 32, 2},
}

func trainerOf(t *testing.T, n nets.Network, size, batch, threads int) (*trainer, models.Batch) {
	t.Helper()
	model, err := n.Build(nets.Options{Size: size, Channels: 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := New().CompileTraining(t.Context(), model, models.TrainingOptions{
		InputShapes: [][]int{{batch, 1, size, size, size}}, Threads: threads, AdamW: models.AdamW{ClipNorm: 1},
		Loss: models.Loss{Terms: []models.LossTerm{{Output: "probability", Kind: models.Dice, Weight: 1, Smooth: 1}, {Output: "probability", Kind: models.BCE, Weight: 1}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	x, y := make([]float32, batch*size*size*size), make([]float32, tr.Outputs()[0].Len())
	for i := range x {
		x[i] = float32(mix(uint64(i))>>40) / (1 << 24)
	}
	for i := range y {
		y[i] = float32(mix(uint64(i/100)) % 5 / 4)
	}
	return tr.(*trainer), models.Batch{Inputs: [][]float32{x}, Targets: [][]float32{y, y}}
}

func TestRegionsThatLiveTogetherDoNotOverlap(t *testing.T) {
	for _, s := range sizes {
		t.Run(s.name, func(t *testing.T) {
			tr, _ := trainerOf(t, s.network, s.size, s.batch, 1)
			for _, p := range []*plan{tr.train.plan, tr.infer.plan} {
				var live []*region
				for _, r := range p.regions {
					if r.into == nil && r.source == arena && r.size > 0 {
						live = append(live, r)
					}
				}
				for i, a := range live {
					if a.offset%align != 0 || a.offset+a.size > p.size {
						t.Fatalf("a region at %d of %d in an arena of %d", a.offset, a.size, p.size)
					}
					for _, b := range live[:i] {
						if a.first <= b.last && b.first <= a.last && a.offset < b.offset+b.size && b.offset < a.offset+a.size {
							t.Fatalf("steps %d to %d and %d to %d share memory", a.first, a.last, b.first, b.last)
						}
					}
				}
			}
		})
	}
}

func TestNoStepReadsWhatNoneHasWritten(t *testing.T) {
	for _, s := range sizes {
		t.Run(s.name, func(t *testing.T) {
			tr, b := trainerOf(t, s.network, s.size, s.batch, 2)
			var first float32
			for k := range 2 {
				arena := tr.train.memory.arena
				for i := range arena {
					arena[i] = float32(math.NaN())
				}
				state, err := tr.State()
				if err != nil {
					t.Fatal(err)
				}
				loss, err := tr.Gradients(t.Context(), b)
				if err != nil {
					t.Fatal(err)
				}
				if k == 0 {
					first = loss
				}
				if loss != first || loss != loss {
					t.Errorf("loss is %g, at first it was %g", loss, first)
				}
				for _, g := range tr.flat.grads {
					if g != g {
						t.Fatal("a gradient is NaN")
					}
				}
				if err := tr.SetState(state); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestThreadsChangeNoBit(t *testing.T) {
	for _, s := range sizes {
		t.Run(s.name, func(t *testing.T) {
			var want []float32
			for _, threads := range []int{1, 2, 3} {
				tr, b := trainerOf(t, s.network, s.size, s.batch, threads)
				for range 2 {
					if _, err := tr.Gradients(t.Context(), b); err != nil {
						t.Fatal(err)
					}
					if _, err := tr.Update(t.Context(), 1e-3); err != nil {
						t.Fatal(err)
					}
				}
				out := [][]float32{make([]float32, tr.Outputs()[0].Len())}
				if err := tr.Infer(t.Context(), b.Inputs, out); err != nil {
					t.Fatal(err)
				}
				got := append(slices.Clone(tr.flat.values), out[0]...)
				if want == nil {
					want = got
				}
				if !slices.Equal(got, want) {
					t.Errorf("%d threads give other bits than 1", threads)
				}
			}
		})
	}
}

func TestStepsOfAGraphHaveHashesOfTheirOwn(t *testing.T) {
	tr, _ := trainerOf(t, nets.Networks[1], 32, 1, 1)
	seen := map[uint32]bool{}
	for _, op := range tr.train.ops {
		if seen[op.Hashcode()] {
			t.Fatalf("step %v shares its hash", op)
		}
		seen[op.Hashcode()] = true
	}
}
