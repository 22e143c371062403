package train

import (
	"fmt"
	"sync"

	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/load"
)

// classifier is the second stage: which vertebrae are fractured.
type classifier struct {
	cfg  ClassifierConfig
	spec classify.Spec

	input         []float32
	first, second marks // of a batch, and of what it is mixed with
}

// marks are targets and their weights, by term of the loss: [N, slices] and, of type 2, [N, 1].
type marks struct{ targets, weights [][]float32 }

// Classifier returns the stage of classifiers like spec, whose prior is what is said of vertebrae that were not found. A
// vertebra's label is the target of each of its slices. Those that were not found, and labels that nobody gave, have the weight 0.
func Classifier(cfg ClassifierConfig, spec classify.Spec) Stage[*load.Case] {
	return &classifier{cfg: cfg, spec: spec}
}

func (c *classifier) Ports(info onnx.Info, n int) (Ports, error) {
	count := c.spec.Crops() * classify.Positions
	p := Ports{Input: []int{n, count, classify.Planes, c.spec.Height, c.spec.Width}, Outputs: [][]int{{n, count}}}
	shares := []float64{1}
	if c.spec.Type == classify.Patient {
		p.Outputs = append(p.Outputs, []int{n, 1})
		shares = []float64{1 - c.cfg.Loss.Patient, c.cfg.Loss.Patient}
	}
	if len(info.Inputs) != 1 || len(info.Outputs) != len(shares) {
		return p, &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("a classifier of type %d has 1 input and %d outputs; this has inputs %v and outputs %v",
			c.spec.Type, len(shares), info.Inputs, info.Outputs), Remedy: "give another model; 'cspine model build' makes one"}
	}
	for i, share := range shares {
		p.Loss.Terms = append(p.Loss.Terms, models.LossTerm{Output: info.Outputs[i].Name, Kind: models.BCELogits, Weight: float32(share),
			PositiveWeight: float32(c.cfg.Loss.PositiveWeight)})
	}
	c.input = make([]float32, n*c.values())
	c.first, c.second = newMarks(p.Outputs), newMarks(p.Outputs)
	return p, nil
}

func newMarks(shapes [][]int) (m marks) {
	for _, shape := range shapes {
		m.targets = append(m.targets, make([]float32, shape[0]*shape[1]))
		m.weights = append(m.weights, make([]float32, shape[0]*shape[1]))
	}
	return m
}

// crop is the number of values of a vertebra, values that of a case.
func (c *classifier) crop() int {
	return classify.Positions * classify.Planes * c.spec.Height * c.spec.Width
}
func (c *classifier) values() int { return c.spec.Crops() * c.crop() }

// Fill makes the batch of cases: inputs [N, slices, planes, rows, columns], grey values divided by 255, zeros where a vertebra was not
// found. A mixed batch has each input mixed with another, and the other's targets and weights as its second.
func (c *classifier) Fill(cases []*load.Case, m Mixing) (models.Batch, error) {
	for _, one := range cases {
		if err := c.check(one); err != nil {
			return models.Batch{}, err
		}
	}
	size := c.crop()
	var all sync.WaitGroup
	for i, one := range cases {
		other := one
		if m.Order != nil {
			other = cases[m.Order[i]]
			c.second.mark(i, other)
		}
		c.first.mark(i, one)
		for k := range one.Crops {
			in := c.input[i*c.values()+k*size:][:size]
			all.Go(func() { mix(in, one.Crops[k], other.Crops[k], m) })
		}
	}
	all.Wait()
	b := models.Batch{Inputs: [][]float32{c.input}, Targets: c.first.targets, Weights: c.first.weights}
	if m.Order != nil {
		b.Mixed, b.MixedWeights, b.Lambda = c.second.targets, c.second.weights, m.Lambda
	}
	return b, nil
}

func (c *classifier) check(one *load.Case) error {
	fits := one.Edge == c.spec.Height && one.Edge == c.spec.Width && len(one.Crops) == c.spec.Crops() && len(one.Labels) == len(one.Crops)
	for _, crop := range one.Crops {
		fits = fits && (crop == nil || len(crop) == c.crop())
	}
	if fits {
		return nil
	}
	return &models.Error{Code: CodeSamples, Detail: fmt.Sprintf("study %s has %d crops of %d x %d pixels, the model takes %d of %d x %d", one.Study,
		len(one.Crops), one.Edge, one.Edge, c.spec.Crops(), c.spec.Height, c.spec.Width), Remedy: "train a model whose crops are as large, or a whole number of times smaller"}
}

// mix writes a crop, or two mixed, divided by 255. Nil is zeros.
func mix(dst []float32, x, y []uint8, m Mixing) {
	if m.Order == nil {
		m.Lambda = 1
	}
	clear(dst)
	for i, v := range x {
		dst[i] = m.Lambda * volume.Shares[v]
	}
	if m.Lambda == 1 {
		return
	}
	for i, v := range y {
		dst[i] += (1 - m.Lambda) * volume.Shares[v]
	}
}

// mark sets the i-th case's targets and weights.
func (m marks) mark(i int, one *load.Case) {
	slicesOf := len(one.Crops) * classify.Positions
	for k, label := range one.Labels {
		if one.Crops[k] == nil {
			label = load.Unknown
		}
		from, to := i*slicesOf+k*classify.Positions, i*slicesOf+(k+1)*classify.Positions
		mark(m.targets[0][from:to], m.weights[0][from:to], label)
	}
	if len(m.targets) > 1 {
		mark(m.targets[1][i:i+1], m.weights[1][i:i+1], one.Patient)
	}
}

func mark(targets, weights []float32, label int8) {
	target, weight := float32(label), float32(1)
	if label == load.Unknown {
		target, weight = 0, 0
	}
	for i := range targets {
		targets[i], weights[i] = target, weight
	}
}

func (c *classifier) Meter(uint64) Meter[*load.Case] {
	return &classifierMeter{cfg: c.cfg.Loss, spec: c.spec, places: map[string]int{}}
}
