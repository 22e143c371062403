package train

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/transforms/score"
)

// Sample is one study to learn segmenting from, or to be measured on. Its slices belong to whoever got it.
type Sample struct {
	// Study names it.
	Study string
	// Shape is rows, columns, slices.
	Shape [3]int
	// Volume has the grey values.
	Volume []uint8
	// Labels has 0 for background, 1 to 7 for C1 to C7, for each of the volume's voxels. Others count as background.
	Labels []uint8
}

// segmenter is the first stage: which voxel is of which vertebra.
type segmenter struct {
	cfg     SegmenterConfig
	volumes volumes
	terms   []models.LossTerm
}

// Segmenter returns the stage of segmenters. Batches are inputs [N, C, rows, columns, slices] and targets [N, 7, rows, columns, slices].
func Segmenter(cfg SegmenterConfig) Stage[Sample] { return &segmenter{cfg: cfg} }

func (s *segmenter) Ports(info onnx.Info, n int) (Ports, error) {
	refuse := &models.Error{Code: models.CodePorts,
		Detail: fmt.Sprintf("a segmenter has one input [N, 1 or 3, rows, columns, slices] and one output [N, %d, rows, columns, slices]; this has inputs %v and outputs %v", Levels, info.Inputs, info.Outputs),
		Remedy: "give another model; 'cspine model build' makes one"}
	if len(info.Inputs) != 1 || len(info.Outputs) != 1 || len(info.Inputs[0].Shape) != 5 {
		return Ports{}, refuse
	}
	in := []int{n, 0, s.cfg.Size, s.cfg.Size, s.cfg.Size}
	for i, d := range info.Inputs[0].Shape[1:] {
		switch {
		case i == 0 && d != 1 && d != 3:
			return Ports{}, refuse
		case d > 0:
			in[i+1] = int(d)
		}
	}
	loss := s.cfg.loss(info.Outputs[0].Name)
	s.terms = loss.Terms
	s.volumes = newVolumes(n, in[1], [3]int(in[2:]), len(loss.Terms))
	return Ports{Input: in, Outputs: [][]int{{n, Levels, in[2], in[3], in[4]}}, Loss: loss}, nil
}

func (s *segmenter) Fill(samples []Sample, m Mixing) (models.Batch, error) {
	return s.volumes.fill(samples, m)
}

func (s *segmenter) Meter(seed uint64) Meter[Sample] {
	return &segmenterMeter{terms: s.terms, size: Levels * s.volumes.voxels, seed: seed}
}

// SegmenterScore is how well a segmenter finds the vertebrae.
type SegmenterScore struct {
	// Dice is each level's, C1 to C7, and Mean their mean, both as means over studies.
	Dice [Levels]float64 `json:"dice"`
	Mean float64         `json:"mean_dice"`
	// Interval is the 95 % confidence interval of Mean over studies; see score.Interval.
	Interval [2]float64 `json:"interval"`
	// PerStudy has each study, in the order of the samples. A history does not keep it.
	PerStudy []score.StudyDice `json:"-"`
}

// segmenterMeter measures dice and loss study by study.
type segmenterMeter struct {
	terms []models.LossTerm
	size  int // values of an answer
	seed  uint64

	dice []score.StudyDice
	loss float64 // sum over studies
}

func (m *segmenterMeter) Add(samples []Sample, outputs [][]float32) error {
	for i, s := range samples {
		dice, loss := scores(outputs[0][i*m.size:][:m.size], s.Labels, m.terms)
		one := score.StudyDice{Study: s.Study, Dice: dice}
		for _, x := range dice {
			one.Mean += x / Levels
		}
		m.dice = append(m.dice, one)
		m.loss += loss
	}
	return nil
}

func (m *segmenterMeter) Validation() (*Validation, error) {
	v := &Validation{Studies: len(m.dice), Loss: m.loss, SegmenterScore: &SegmenterScore{PerStudy: m.dice}}
	if v.Studies == 0 {
		return v, nil
	}
	n := float64(v.Studies)
	means := make([]float64, v.Studies)
	for i, d := range m.dice {
		for level, x := range d.Dice {
			v.Dice[level] += x / n
		}
		means[i] = d.Mean
		v.Mean += d.Mean / n
	}
	v.Loss /= n
	v.Interval = score.Interval(means, m.seed)
	return v, nil
}

// scores returns a study's dice by level, and its loss. p is [7, voxels].
func scores(p []float32, labels []uint8, terms []models.LossTerm) (dice [Levels]float64, loss float64) {
	voxels := len(labels)
	var sums [Levels]struct{ both, predicted, target, bce float64 }
	withBCE := slices.ContainsFunc(terms, func(t models.LossTerm) bool { return t.Kind == models.BCE })
	var all sync.WaitGroup
	for level := range Levels {
		all.Go(func() {
			p, s, l := p[level*voxels:][:voxels], &sums[level], uint8(level+1)
			dice[level] = score.Dice(p, labels, l)
			var both, predicted, target, bce float64
			for i, v := range p {
				predicted += float64(v)
				if labels[i] == l {
					both += float64(v)
					target++
				}
				if withBCE {
					q := float64(v)
					if labels[i] != l {
						q = 1 - q
					}
					bce -= max(math.Log(q), -100)
				}
			}
			s.both, s.predicted, s.target, s.bce = both, predicted, target, bce
		})
	}
	all.Wait()
	var both, predicted, target, bce float64
	for _, s := range sums {
		both, predicted, target, bce = both+s.both, predicted+s.predicted, target+s.target, bce+s.bce
	}
	for _, t := range terms {
		switch t.Kind {
		case models.Dice:
			loss += float64(t.Weight) * (1 - (2*both+float64(t.Smooth))/(predicted+target+float64(t.Smooth)))
		case models.DicePerChannel:
			for _, s := range sums {
				loss += float64(t.Weight) / Levels * (1 - (2*s.both+float64(t.Smooth))/(s.predicted+s.target+float64(t.Smooth)))
			}
		case models.BCE:
			loss += float64(t.Weight) * bce / float64(Levels*voxels)
		}
	}
	return dice, loss
}
