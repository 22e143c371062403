// Package quantise turns a trained model into one whose convolutions multiply eight-bit integers, and keeps with the file
// what that costs in accuracy.
//
// Invariants:
//   - Quantisation needs samples of what the model will see: ranges of activations come from them and from nothing else.
//   - A quantised model must carry a Record of its accuracy, measured against the model it was made from; engines refuse one
//     without.
//   - Equal models and samples, on one machine, give equal bytes.
package quantise

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/onnx"
)

// Int8 returns the quantised form of a float model, with one input channel where EqualChannels is promised. samples are the values of the model's
// inputs, a few dozen typical ones; a range is the mean, over the samples, of the smallest and the largest value, so that a
// single odd sample does not coarsen all others. engine runs the float model, and must know ReduceMin and ReduceMax.
func Int8(ctx context.Context, engine models.Engine, model []byte, opts *models.CompileOptions, samples iter.Seq2[[][]float32, error]) ([]byte, error) {
	prepared, err := models.Prepare(model, opts)
	if err != nil {
		return nil, err
	}
	ranges, err := observe(ctx, engine, prepared, samples)
	if err != nil {
		return nil, fmt.Errorf("quantise: %w", err)
	}
	m, err := onnx.Parse(prepared)
	if err != nil {
		return nil, err
	}
	if m.Quantised() {
		return nil, errors.New("quantise: the model is quantised already; give the float model that it was made from")
	}
	n, err := m.Quantise(ranges)
	if err != nil {
		return nil, fmt.Errorf("quantise: %w", err)
	}
	if n == 0 {
		return nil, errors.New("quantise: the model has no convolution whose weights are float32 constants")
	}
	return m.Bytes(), nil
}

// observe returns the range of every value that Quantise asks for. model must have been prepared, since its values' names count.
func observe(ctx context.Context, engine models.Engine, model []byte, samples iter.Seq2[[][]float32, error]) (map[string]onnx.Range, error) {
	m, err := onnx.Parse(model)
	if err != nil {
		return nil, err
	}
	points := m.QuantisationPoints()
	outputs := len(m.Graph.Outputs)
	m.Observe(points)
	net, err := engine.Compile(ctx, m.Bytes(), &models.CompileOptions{Precision: models.F32})
	if err != nil {
		return nil, err
	}
	defer net.Close()
	buffers := make([][]float32, len(net.Outputs()))
	for i, p := range net.Outputs() {
		buffers[i] = make([]float32, p.Len())
	}
	sums := make([][2]float64, len(points))
	count := 0
	for inputs, err := range samples {
		if err != nil {
			return nil, err
		}
		if err := net.Infer(ctx, inputs, buffers); err != nil {
			return nil, err
		}
		for i := range points {
			sums[i][0] += float64(buffers[outputs+2*i][0])
			sums[i][1] += float64(buffers[outputs+2*i+1][0])
		}
		count++
	}
	if count == 0 {
		return nil, errors.New("there is no sample to take ranges from")
	}
	ranges := map[string]onnx.Range{}
	for i, name := range points {
		ranges[name] = onnx.Range{Min: float32(sums[i][0] / float64(count)), Max: float32(sums[i][1] / float64(count))}
	}
	return ranges, nil
}
