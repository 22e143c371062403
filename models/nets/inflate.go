package nets

import (
	"errors"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/models/program"
)

// InflateOptions of Inflate.
type InflateOptions struct {
	// Undivided and Size are onnx.InflateOptions'.
	Undivided bool
	Size      int
}

// Inflate turns the ONNX file of a network of images into that of one of volumes (onnx.Model.Inflate), and says so in its metadata. The
// error is a *models.Error; of CodeUnsupported where a node, which it names, can't be inflated.
func Inflate(file []byte, opts InflateOptions) ([]byte, error) {
	if _, err := models.Info(file); err != nil {
		return nil, err
	}
	m, err := onnx.Parse(file)
	if err != nil {
		return nil, err
	}
	flat, err := onnx.Parse(file)
	if err != nil {
		return nil, err
	}
	shapes := imageShapes(flat, opts.Size)
	evaluate := func(value string) ([]int64, bool) {
		values, err := program.Integers(flat, value, nil)
		if err != nil && shapes != nil {
			values, err = program.Integers(flat, value, shapes)
		}
		return values, err == nil
	}
	if err := m.Inflate(&onnx.InflateOptions{Undivided: opts.Undivided, Size: opts.Size, Evaluate: evaluate}); err != nil {
		var detail *onnx.Error
		if !errors.As(err, &detail) {
			return nil, err
		}
		return nil, &models.Error{Code: models.CodeUnsupported, Detail: detail.Detail, Err: err}
	}
	rule := map[bool]string{false: "divided", true: "undivided"}[opts.Undivided]
	return onnx.WithMetadata(m.Bytes(), map[string]string{"cspine.inflated": rule})
}

// imageShapes returns the shapes of a model's inputs with images of that size, or of their own where it is 0; nil where one is open.
func imageShapes(m *onnx.Model, size int) [][]int {
	var shapes [][]int
	for _, in := range m.Graph.Inputs {
		shape := make([]int, len(in.Shape))
		for i, d := range in.Shape {
			shape[i] = int(d)
			if i >= 2 && len(shape) == 4 && size > 0 {
				shape[i] = size
			}
			if shape[i] < 0 {
				return nil
			}
		}
		shapes = append(shapes, shape)
	}
	return shapes
}
