package train

import (
	"context"
	_ "embed"
	"errors"
	"iter"
	"math"
	"math/rand/v2"

	"github.com/cspine/cspine/models"
)

// voxelEngine trains a model of its own: the probability of a level is the sigmoid of a linear function of the voxel's grey value. It
// has what the loop must keep right: weights, moments, and a running statistic that each batch moves.
type voxelEngine struct {
	models.TrainingEngine
	// gradients is called before each batch.
	gradients func(n int64) error
	infinite  int64 // the number of the batch whose loss is NaN; 0 for none
}

func (voxelEngine) Name() string     { return "voxel" }
func (voxelEngine) Identity() string { return "voxel 1" }

func (e voxelEngine) CompileTraining(_ context.Context, _ []byte, o models.TrainingOptions) (models.Trainer, error) {
	in := o.InputShapes[0]
	t := &voxelTrainer{engine: e, options: o, adam: o.AdamW.WithDefaults(), in: in, voxels: in[2] * in[3] * in[4]}
	t.state = models.State{Weights: map[string][]float32{"w": make([]float32, 2*Levels), "mean": {0}},
		First: map[string][]float32{"w": make([]float32, 2*Levels)}, Second: map[string][]float32{"w": make([]float32, 2*Levels)}}
	rng := rand.New(rand.NewPCG(o.Seed, 1))
	for i := range t.state.Weights["w"] {
		t.state.Weights["w"][i] = rng.Float32() - 0.5
	}
	return t, nil
}

type voxelTrainer struct {
	models.Trainer
	engine  voxelEngine
	options models.TrainingOptions
	adam    models.AdamW
	in      []int
	voxels  int
	state   models.State
	sum     [2 * Levels]float64
	batches int
}

func (t *voxelTrainer) Inputs() []models.Port { return []models.Port{{Name: "input", Shape: t.in}} }
func (t *voxelTrainer) Outputs() []models.Port {
	return []models.Port{{Name: "output", Shape: []int{t.in[0], Levels, t.in[2], t.in[3], t.in[4]}}}
}
func (t *voxelTrainer) Close() error { return nil }

func (t *voxelTrainer) Infer(_ context.Context, in, out [][]float32) error {
	w := t.state.Weights["w"]
	for n := range t.in[0] {
		for l := range Levels {
			for i := range t.voxels {
				x := in[0][n*t.in[1]*t.voxels+i] - t.state.Weights["mean"][0]
				out[0][(n*Levels+l)*t.voxels+i] = float32(1 / (1 + math.Exp(-float64(w[2*l]*x+w[2*l+1]))))
			}
		}
	}
	return nil
}

// Gradients takes the mean squared error for the loss, whatever is asked for.
func (t *voxelTrainer) Gradients(ctx context.Context, b models.Batch) (float32, error) {
	t.state.Draws++
	if t.engine.gradients != nil {
		if err := t.engine.gradients(t.state.Draws); err != nil {
			return 0, err
		}
	}
	mean := 0.0
	for _, v := range b.Inputs[0] {
		mean += float64(v) / float64(len(b.Inputs[0]))
	}
	m := t.state.Weights["mean"]
	m[0] += 0.1 * (float32(mean) - m[0])
	out := make([]float32, t.in[0]*Levels*t.voxels)
	if err := t.Infer(ctx, b.Inputs, [][]float32{out}); err != nil {
		return 0, err
	}
	loss := 0.0
	for i, p := range out {
		target := float64(b.Targets[0][i])
		if b.Mixed != nil {
			target = float64(b.Lambda)*target + float64(1-b.Lambda)*float64(b.Mixed[0][i])
		}
		d := float64(p) - target
		loss += d * d / float64(len(out))
		n, l, at := i/(Levels*t.voxels), i/t.voxels%Levels, i%t.voxels
		g := 2 * d * float64(p) * (1 - float64(p)) / float64(len(out))
		t.sum[2*l] += g * float64(b.Inputs[0][n*t.in[1]*t.voxels+at]-m[0])
		t.sum[2*l+1] += g
	}
	t.batches++
	if t.engine.infinite == t.state.Draws {
		return float32(math.NaN()), nil
	}
	return float32(loss), nil
}

func (t *voxelTrainer) Update(_ context.Context, rate float64) (float64, error) {
	t.state.Steps++
	w, first, second := t.state.Weights["w"], t.state.First["w"], t.state.Second["w"]
	norm := 0.0
	for i := range w {
		g := t.sum[i] / float64(t.batches)
		norm += g * g
		first[i] = float32(t.adam.Beta1*float64(first[i]) + (1-t.adam.Beta1)*g)
		second[i] = float32(t.adam.Beta2*float64(second[i]) + (1-t.adam.Beta2)*g*g)
		m := float64(first[i]) / (1 - math.Pow(t.adam.Beta1, float64(t.state.Steps)))
		v := float64(second[i]) / (1 - math.Pow(t.adam.Beta2, float64(t.state.Steps)))
		w[i] -= float32(rate * (m/(math.Sqrt(v)+t.adam.Epsilon) + t.adam.WeightDecay*float64(w[i])))
	}
	t.sum, t.batches = [2 * Levels]float64{}, 0
	return math.Sqrt(norm), nil
}

func (t *voxelTrainer) State() (models.State, error) {
	s := t.state
	s.Weights, s.First, s.Second = cloneWeights(s.Weights), cloneWeights(s.First), cloneWeights(s.Second)
	return s, nil
}

func (t *voxelTrainer) SetState(s models.State) error {
	if t.batches != 0 {
		return errors.New("gradients wait")
	}
	t.state = s
	t.state.Weights, t.state.First, t.state.Second = cloneWeights(s.Weights), cloneWeights(s.First), cloneWeights(s.Second)
	return nil
}

// phantoms are studies whose levels lie in blocks of different grey.
type phantoms struct {
	n       int
	seed    uint64
	augment bool // each epoch has another order and other noise
}

func (p phantoms) Len() int { return p.n }

func (p phantoms) Epoch(ctx context.Context, epoch, skip int) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		order := rand.New(rand.NewPCG(p.seed, uint64(epoch))).Perm(p.n)
		for i := skip; i < p.n; i++ {
			if err := ctx.Err(); err != nil {
				yield(Sample{}, err)
				return
			}
			study, noise := i, uint64(0)
			if p.augment {
				study, noise = order[i], uint64(epoch)
			}
			if !yield(phantom(p.seed+uint64(study), noise), nil) {
				return
			}
		}
	}
}

// side is the length of the phantoms' sides: that of modelstest's small network.
const side = 8

func phantom(seed, noise uint64) Sample {
	rng := rand.New(rand.NewPCG(seed, noise))
	s := Sample{Study: "study", Shape: [3]int{side, side, side}, Volume: make([]uint8, side*side*side), Labels: make([]uint8, side*side*side)}
	for i := range s.Volume {
		s.Labels[i] = uint8(i / (side * side))
		s.Volume[i] = s.Labels[i]*30 + uint8(rng.IntN(25))
	}
	return s
}

// tiny is a segmenter of such volumes.
//
//go:embed testdata/tiny.onnx
var tiny []byte
