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
	evaluate := func(value string) ([]int64, bool) { // Inflate leaves nodes that no image goes through as they are
		values, err := program.Integers(m, value)
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
