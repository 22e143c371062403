package program

import (
	"fmt"
	"slices"

	"github.com/cspine/cspine/models/onnx"
)

// Integers returns the whole numbers of a value that depends on nothing but the shapes of the model's inputs: exporters compute pads and axes
// with nodes. Where inputShapes is nil it must not depend on those either. The error is an *Error.
func Integers(m *onnx.Model, name string, inputShapes [][]int) (values []int64, err error) {
	part := *m
	part.Graph.Outputs = []onnx.Value{{Name: name}}
	if inputShapes == nil {
		part.Graph.Inputs = nil
	}
	c := &compiler{values: map[string]*value{}, read: map[string]int{}}
	c.opts.MaxBytes, c.opts.InputShapes = defaultMaxBytes, inputShapes
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Error:
			values, err = nil, r
		default:
			values, err = nil, c.current.error(fmt.Sprintf("can't be compiled: %v", r))
		}
	}()
	c.run(&part)
	v := c.values[name]
	if v == nil || !v.known || !v.integer {
		return nil, refusal("%s is not a constant list of whole numbers", quote(name))
	}
	return slices.Clone(v.ints), nil
}
