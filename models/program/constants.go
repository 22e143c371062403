package program

import (
	"fmt"
	"slices"

	"github.com/cspine/cspine/models/onnx"
)

// Integers returns the whole numbers of a value that doesn't depend on the model's inputs, not even on their shapes: exporters compute pads
// and axes with nodes. The error is an *Error.
func Integers(m *onnx.Model, name string) (values []int64, err error) {
	part := *m
	part.Graph.Inputs, part.Graph.Outputs = nil, []onnx.Value{{Name: name}}
	c := &compiler{values: map[string]*value{}, read: map[string]int{}}
	c.opts.MaxBytes = defaultMaxBytes
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
