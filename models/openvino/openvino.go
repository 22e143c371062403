// Package openvino runs models on the CPU with OpenVINO, through its C interface and without cgo
// (https://docs.openvino.ai, "C API"). It compiles what models.Prepare returns.
//
// The native library is not a part of cspine's binary: `./run.sh setup` fetches it, and without it New says so. Invariants:
//   - Every handle of the library but the core has one owner here, who must free it; none leaves the package.
//   - The library sees memory of Go's only during a call.
//   - bf16 is offered only where the library itself says that the processor has it.
package openvino

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/cspine/cspine/internal/perprocess"
	"github.com/cspine/cspine/internal/processor"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/onnx"
)

// Engine is a models.Engine. There is one for a process and library, however often New is called.
type Engine struct {
	lib        *library
	core       uintptr
	identity   string
	precisions []models.Precision
}

// Options of New.
type Options struct {
	// Dir is the folder of libopenvino_c.so. Where empty it is looked for: in the environment variable
	// CSPINE_NATIVE_DIR, in .native beside the executable, and in .native in the working directory and above it; each time
	// in the folder itself and in "openvino" below it.
	Dir string
}

// New loads the library. The error is a *models.Error with CodeNoEngine where it can't be had.
func New(opts *Options) (*Engine, error) {
	dir := ""
	if opts != nil {
		dir = opts.Dir
	}
	path, err := find(dir)
	if err != nil {
		return nil, err
	}
	return engines.Get(path, func() (*Engine, error) { return start(path) })
}

// engines are this process's, by the library's path. They are never freed: a core that goes takes the
// library's plugins with it, under the feet of networks that another core compiled.
var engines perprocess.Shared[*Engine]

func start(path string) (*Engine, error) {
	lib, err := open(path)
	if err != nil {
		return nil, &models.Error{Code: models.CodeNoEngine, Detail: fmt.Sprintf("OpenVINO does not load: %v", err), Remedy: remedy, Err: err}
	}
	e := &Engine{lib: lib, precisions: []models.Precision{models.INT8, models.F32}}
	if e.core, err = lib.newCore(); err != nil {
		return nil, &models.Error{Code: models.CodeNoEngine, Detail: fmt.Sprintf("OpenVINO does not start: %v", err), Remedy: remedy, Err: err}
	}
	able, err := lib.property(e.core, "OPTIMIZATION_CAPABILITIES")
	if err != nil {
		return nil, &models.Error{Code: models.CodeNoEngine, Detail: fmt.Sprintf("OpenVINO has no CPU device: %v", err), Remedy: remedy, Err: err}
	}
	if slices.Contains(strings.Fields(able), "BF16") {
		e.precisions = []models.Precision{models.INT8, models.BF16, models.F32}
	}
	version, err := lib.version()
	if err != nil {
		return nil, err
	}
	e.identity = fmt.Sprintf("openvino %s; rewrite %d; %s", version, onnx.RewriteVersion, processor.Traits())
	return e, nil
}

const remedy = "get it with ./run.sh setup, or name its folder in CSPINE_NATIVE_DIR"

// Name is "openvino".
func (e *Engine) Name() string { return "openvino" }

// Identity names the library's version, the rewritings and the processor's vector instructions, by which
// the library chooses its kernels.
func (e *Engine) Identity() string { return e.identity }

// Precisions returns bf16 only where the processor has it.
func (e *Engine) Precisions() []models.Precision { return e.precisions }

// Compile compiles for the CPU. It takes a few times the memory of the model's weights.
func (e *Engine) Compile(ctx context.Context, model []byte, opts *models.CompileOptions) (models.Network, error) {
	var o models.CompileOptions
	if opts != nil {
		o = *opts
	}
	properties, err := e.properties(&o)
	if err != nil {
		return nil, err
	}
	prepared, err := models.Prepare(model, &o)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n, err := e.compile(prepared, properties, max(o.Streams, 1))
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		_ = n.Close() // never fails
		return nil, err
	}
	return n, nil
}

// properties returns the library's configuration, keys and values in turn.
func (e *Engine) properties(o *models.CompileOptions) ([]string, error) {
	precision := o.Precision
	if precision == "" {
		precision = models.F32
	}
	if !slices.Contains(e.precisions, precision) {
		return nil, &models.Error{Code: models.CodePrecision, Detail: fmt.Sprintf("%q is asked for, this processor has %q", precision, e.precisions),
			Remedy: "choose precision f32"}
	}
	if precision == models.INT8 { // the file says what is int8; this is for the rest
		precision = e.precisions[1]
	}
	threads := o.Threads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0) // knows a container's limit
	}
	return []string{
		"INFERENCE_PRECISION_HINT", string(precision),
		"INFERENCE_NUM_THREADS", strconv.Itoa(threads),
		"NUM_STREAMS", strconv.Itoa(max(o.Streams, 1)),
		// Pinned threads stand still while Go's decoders hold their processor.
		"ENABLE_CPU_PINNING", "NO",
	}, nil
}

func (e *Engine) compile(model []byte, properties []string, streams int) (*network, error) {
	handle, err := e.lib.readModel(e.core, model)
	if err != nil {
		return nil, &models.Error{Code: models.CodeUnsupported, Detail: fmt.Sprintf("OpenVINO does not take the model: %v", err), Err: err}
	}
	defer e.lib.modelFree(handle)
	compiled, err := e.lib.compile(e.core, handle, properties)
	if err != nil {
		return nil, &models.Error{Code: models.CodeUnsupported, Detail: fmt.Sprintf("OpenVINO does not compile the model: %v", err), Err: err}
	}
	n := &network{engine: e, compiled: compiled, slots: make(chan uintptr, streams), closed: make(chan struct{})}
	if err := n.prepare(streams); err != nil {
		n.discard()
		return nil, err
	}
	return n, nil
}
