// Package models says what a model is, and what an engine that runs one must do.
//
// A model is an ONNX file: architecture and weights in one. Its identity is the SHA-256 of the file's
// bytes, which every artifact made with it names in its recipe. Engines differ in floating point, so a
// recipe names the engine too (Engine.Identity, the precision).
//
// Engines live in packages below this one. Each must pass package modelstest, which compares it with
// values that PyTorch computed.
package models

import (
	"context"
	"errors"
	"fmt"

	"github.com/cspine/cspine/models/onnx"
)

// Engine runs models on one kind of device. Its methods are safe for concurrent use.
//
// Engines that also train implement a second interface; inference asks for no more than this one.
type Engine interface {
	// Name is the word users choose the engine by, such as "openvino".
	Name() string
	// Identity names all that can change a result's floating point besides the model and CompileOptions:
	// the engine's version, its own rewritings, and the processor's traits. It belongs to a recipe.
	Identity() string
	// Precisions returns what CompileOptions.Precision may be on this machine, the fastest first.
	Precisions() []Precision
	// Compile makes a model ready to run. model must not be changed afterwards. opts may be nil. The error
	// is an *Error where the model or the options are at fault. A context that ends while the engine's own
	// compiler runs is seen when that returns.
	Compile(ctx context.Context, model []byte, opts *CompileOptions) (Network, error)
}

// Network is a compiled model. Its methods are safe for concurrent use.
type Network interface {
	// Inputs and Outputs return the ports in the model's order. They must not be changed.
	Inputs() []Port
	Outputs() []Port
	// Infer runs the model once. inputs and outputs hold a slice for each port, each of the port's length;
	// outputs are overwritten. Infer keeps neither. At most CompileOptions.Streams calls run at the same time; others
	// wait, and give up when their context ends. A context that ends during a run is seen at its end: the
	// outputs are then undefined.
	Infer(ctx context.Context, inputs, outputs [][]float32) error
	// Close frees what the network holds, after the calls that run have returned. Later calls of Infer
	// fail with CodeClosed. Closing twice does nothing.
	Close() error
}

// Port is an input or output of a network: a dense float32 tensor in C order.
type Port struct {
	Name  string
	Shape []int
}

// Len returns the number of elements.
func (p Port) Len() int {
	n := 1
	for _, d := range p.Shape {
		n *= d
	}
	return n
}

// Precision is the arithmetic of a network's multiplications. Sums and ports are float32 in all of them.
type Precision string

// The precisions.
const (
	F32  Precision = "f32"
	BF16 Precision = "bf16"
	// INT8 is for models that package quantise made; what is not a convolution runs in the fastest other precision.
	INT8 Precision = "int8"
)

// Precisions are all there are. Engine.Precisions says which an engine has.
var Precisions = []Precision{F32, BF16, INT8}

// orF32 returns F32 for the empty precision.
func (p Precision) orF32() Precision {
	if p == "" {
		return F32
	}
	return p
}

// CompileOptions of Engine.Compile. All but Threads and Streams belong to a recipe.
type CompileOptions struct {
	// Precision is F32 where empty.
	Precision Precision
	// Threads is how many processor threads the network may use in all. 0 means all.
	Threads int
	// Streams is how many calls of Infer run side by side, sharing Threads. 0 means 1: lowest latency. As many streams as threads
	// gives the most calls a second, at the price of memory for each.
	Streams int
	// EqualChannels promises that all channels (axis 1) of the model's only input are equal. The network then takes
	// one channel where it can, which Network.Inputs shows; engines that can't take all channels still.
	EqualChannels bool
}

// The codes of an Error.
const (
	CodeNotONNX     = "not_onnx"    // the bytes are no ONNX file, or a cut one
	CodeUnsupported = "unsupported" // the engine lacks an operator, a type or an option
	CodePorts       = "ports"       // a network's inputs or outputs are not what its user needs
	CodeNoEngine    = "no_engine"   // the engine's native files are missing
	CodePrecision   = "precision"   // this machine lacks the precision
	CodeClosed      = "closed"      // the network was closed
)

// Error says why a model or an engine can't be used. Match it by Code.
type Error struct {
	Code   string
	Detail string // what was expected and what is there
	Remedy string // what to do; may be empty
	Err    error  // the cause; may be nil
}

func (e *Error) Error() string {
	s := "models: " + e.Code + ": " + e.Detail
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Info says what an ONNX file is, which must be whole (onnx.Model.Check). The error is an *Error with CodeNotONNX.
func Info(model []byte) (onnx.Info, error) {
	m, err := onnx.Parse(model)
	if err == nil {
		err = m.Check()
	}
	if err != nil {
		return onnx.Info{}, notONNX(err)
	}
	return m.Info(), nil
}

func notONNX(err error) *Error {
	var detail *onnx.Error
	if errors.As(err, &detail) {
		return &Error{Code: CodeNotONNX, Detail: detail.Detail, Remedy: "export the model anew", Err: err}
	}
	return &Error{Code: CodeNotONNX, Detail: err.Error(), Err: err}
}

// Prepare returns the ONNX file that an engine should compile in place of model: equal but for rounding, and
// faster (onnx.Model.Accelerate; one input channel where opts say so). It is model itself where there is nothing to gain. A quantised model
// without an Int8Record, or in another precision than INT8, is an *Error with CodePrecision, and so is INT8 for any other.
// An engine that calls it must name onnx.RewriteVersion in its Identity.
func Prepare(model []byte, opts *CompileOptions) ([]byte, error) {
	m, err := onnx.Parse(model)
	if err != nil {
		return nil, notONNX(err)
	}
	var precision Precision
	if opts != nil {
		precision = opts.Precision
	}
	if err := checkInt8(model, m, precision); err != nil {
		return nil, err
	}
	changed := m.Accelerate() > 0
	if opts != nil && opts.EqualChannels && m.SumInputChannels() {
		changed = true
	}
	if !changed {
		return model, nil
	}
	return m.Bytes(), nil
}

// CheckBuffers tells whether inputs and outputs fit a network's ports. The error is an *Error with CodePorts.
func CheckBuffers(n Network, inputs, outputs [][]float32) error {
	for _, side := range []struct {
		name  string
		ports []Port
		have  [][]float32
	}{{"inputs", n.Inputs(), inputs}, {"outputs", n.Outputs(), outputs}} {
		if len(side.ports) != len(side.have) {
			return &Error{Code: CodePorts, Detail: fmt.Sprintf("expected %d %s, got %d", len(side.ports), side.name, len(side.have))}
		}
		for i, p := range side.ports {
			if len(side.have[i]) != p.Len() {
				return &Error{Code: CodePorts, Detail: fmt.Sprintf("%s: %q %v needs %d values, got %d", side.name, p.Name, p.Shape, p.Len(), len(side.have[i]))}
			}
		}
	}
	return nil
}
