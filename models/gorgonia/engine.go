// Package gorgonia trains and runs models on any CPU, in Go alone. Gorgonia (https://gorgonia.org) gives the expression graph, its symbolic
// differentiation and the tape machine that runs it; what the operations compute, and in which memory, is ours.
//
// A program (package program) becomes a symbolic graph of formulas. Gorgonia derives the gradients. Of what the outputs, or the loss and
// the parameters' gradients, need, a plan makes steps in a fixed order, with all memory laid out beforehand; a second graph
// of those steps is what the tape machine runs.
//
// Invariants:
//   - Equal calls must give equal bits on equal processors, however many threads there are: a sum has one order.
//   - A run must allocate no tensor: a plan's arena is made once, and its size is known before.
//   - No panic may leave a step: the tape machine runs in a goroutine of its own.
//   - Nodes' hashes must differ: Gorgonia takes nodes of equal hashes for one.
package gorgonia

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	// Without its exact version Gorgonia's tensors panic when the program starts.
	_ "go4.org/unsafe/assume-no-moving-gc"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/gorgonia/kernel"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/models/program"
)

// version names the engine's arithmetic. It must change with anything that changes a result's floating point.
const version = 3

// Engine is a models.TrainingEngine. The zero value is ready.
type Engine struct{}

// New returns the engine.
func New() *Engine { return &Engine{} }

// Name is "gorgonia".
func (*Engine) Name() string { return "gorgonia" }

// Identity names the versions of this package and Gorgonia, the rewritings and the kernels that this processor runs.
func (*Engine) Identity() string {
	return fmt.Sprintf("gorgonia 0.9.18.%d; rewrite %d; %s", version, onnx.RewriteVersion, kernel.Level())
}

// Precisions is float32 alone.
func (*Engine) Precisions() []models.Precision { return []models.Precision{models.F32} }

func checkPrecision(p models.Precision) error {
	if p != "" && p != models.F32 {
		return &models.Error{Code: models.CodePrecision, Detail: fmt.Sprintf("%q is asked for, this engine has %q", p, models.F32), Remedy: "ask for f32"}
	}
	return nil
}

// threads returns how many threads a number of an option's stands for.
func threads(n int) int {
	if n <= 0 {
		return runtime.GOMAXPROCS(0)
	}
	return n
}

// Compile makes a model ready to run. Each stream has memory of its own.
func (*Engine) Compile(ctx context.Context, model []byte, opts *models.CompileOptions) (models.Network, error) {
	var o models.CompileOptions
	if opts != nil {
		o = *opts
	}
	if err := checkPrecision(o.Precision); err != nil {
		return nil, err
	}
	prepared, err := models.Prepare(model, &o)
	if err != nil {
		return nil, err
	}
	p, err := read(prepared, &program.Options{})
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	debug.FreeOSMemory() // reading a large model leaves behind as much as its values need
	n, err := newNetwork(ctx, p, &o)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// CompileTraining makes a model ready to be trained.
func (*Engine) CompileTraining(ctx context.Context, model []byte, opts models.TrainingOptions) (models.Trainer, error) {
	if err := checkPrecision(opts.Precision); err != nil {
		return nil, err
	}
	p, err := read(model, &program.Options{InputShapes: opts.InputShapes, Training: true})
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t, err := newTrainer(p, opts)
	if err != nil {
		return nil, err
	}
	debug.FreeOSMemory() // before steps fill what has been laid out
	return t, nil
}
