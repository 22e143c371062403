package models

import (
	"errors"
	"fmt"

	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/models/program"
)

// Program reads a model and makes a program of it, for engines that interpret programs. The error is an *Error: CodeNotONNX,
// CodePorts where the shapes asked for or the model's inputs and outputs are at fault, else CodeUnsupported.
func Program(model []byte, opts *program.Options) (*program.Program, error) {
	m, err := onnx.Parse(model)
	if err != nil {
		return nil, notONNX(err)
	}
	if opts != nil {
		for i, shape := range opts.InputShapes {
			if len(shape) == 0 {
				return nil, &Error{Code: CodePorts, Detail: fmt.Sprintf("the shape asked for of input %d has no axes", i)}
			}
		}
	}
	p, err := program.Compile(m, opts)
	if err != nil {
		return nil, ProgramError(err)
	}
	return p, nil
}

// ProgramError is the *Error of a refusal by program.Compile: CodePorts or CodeUnsupported.
func ProgramError(err error) *Error {
	out := &Error{Code: CodeUnsupported, Detail: err.Error(), Err: err}
	var refused *program.Error
	if !errors.As(err, &refused) {
		return out
	}
	out.Detail = refused.Detail
	if refused.Node != "" {
		out.Detail = "node " + refused.Node + " (" + refused.Op + "): " + refused.Detail
	}
	if refused.Ports {
		out.Code = CodePorts
	}
	return out
}
