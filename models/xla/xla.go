// Package xla trains and runs models with XLA: on NVIDIA GPUs, and on processors to test that it is right. It interprets programs of
// package models/program as graphs of GoMLX (package backend), which a PJRT plugin compiles and runs (package pjrt). There is no cgo.
//
// The plugin is not a part of cspine's binary: `./run.sh setup xla-cpu` or `xla-cuda` fetches one, and without it New says so.
//
// Every operation has its gradient written out here, and the reverse pass is this package's. GoMLX's automatic gradients are not used: those of
// products materialise [B,K,N], Pad, Rsqrt and Reverse have none, and batch normalisation's loses digits.
//
// Invariants:
//   - Weights, moments, gradients and statistics lie on the device, under the model's names and in the model's layout, as float32.
//   - A compiled program depends on the model, the shapes and what the batch has, never on what ran before: a resumed training
//     goes on with the same bits.
//   - bf16 converts at each convolution and matrix product, whose results stay bf16 as in PyTorch's autocast. There is no loss scaling: bf16 has
//     float32's exponents, so small gradients don't vanish as they do in fp16, for which GradScaler is.
//   - One value is added by one thread in one order: no atomic additions, on any device.
package xla

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"

	"github.com/cspine/cspine/internal/perprocess"
	"github.com/cspine/cspine/internal/processor"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/models/xla/pjrt"
)

// The modules whose rewriting decides a result's last digits; a test compares them with go.mod.
const (
	gomlxVersion = "v0.26.0"
	goXLAVersion = "v0.1.4"
)

// Form says how a 3D convolution is computed.
type Form string

// The forms.
const (
	// Native leaves it to XLA, which has good ones for GPUs.
	Native Form = "native"
	// Taps makes one 2D convolution for each tap of the kernel's depth, which is what XLA does well on processors.
	Taps Form = "taps"
)

// Options of New.
type Options struct {
	// Plugin is the path of a PJRT plugin. Where empty, Find says where one is looked for.
	Plugin string
	// Platform is "cuda" or "cpu". Empty is "cuda" on a machine with an NVIDIA GPU, else "cpu".
	Platform string
	// Convolution is Taps on processors and Native elsewhere, where empty.
	Convolution Form
	// Devices is how many of the plugin's devices share each batch of a training: its first axis is split. 0 means 1. Results are those
	// of one device but for rounding, batch normalisation included.
	Devices int
}

// Engine is a models.TrainingEngine. Engines of one plugin share its client, of which there is one in a process.
//
// Threads of CompileOptions and TrainingOptions are not heeded: PJRT has one pool of threads for a process, of GOMAXPROCS threads
// unless the environment's PJRT_NPROC says otherwise.
type Engine struct {
	client   *pjrt.Client
	form     Form
	devices  int
	identity string
}

var _ models.TrainingEngine = (*Engine)(nil)

// clients are this process's, by the plugin's path. They are never freed: their threads may be running.
var clients perprocess.Shared[*pjrt.Client]

// New starts an engine. The error is a *models.Error: with CodeNoEngine where the plugin or its device can't be had.
func New(opts *Options) (*Engine, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	path, err := Find(o.Plugin, o.Platform)
	if err != nil {
		return nil, err
	}
	client, err := clients.Get(path, func() (*pjrt.Client, error) { return start(path) })
	if err != nil {
		return nil, err
	}
	if o.Platform != "" && o.Platform != client.Platform {
		return nil, &models.Error{Code: models.CodeNoEngine, Detail: fmt.Sprintf("%s serves platform %s, not %s", path, client.Platform, o.Platform)}
	}
	e := &Engine{client: client, form: o.Convolution, devices: max(o.Devices, 1)}
	switch {
	case e.form == "" && e.host():
		e.form = Taps
	case e.form == "":
		e.form = Native
	case e.form != Taps && e.form != Native:
		return nil, &models.Error{Code: models.CodeUnsupported, Detail: fmt.Sprintf("convolution form %q; there are %q and %q", e.form, Taps, Native)}
	}
	if n := client.Devices(); e.devices > n {
		return nil, &models.Error{Code: models.CodeNoEngine, Detail: fmt.Sprintf("%d devices are asked for, platform %s has %d", e.devices, client.Platform, n)}
	}
	device := processor.Traits()
	if !e.host() {
		if device, err = client.Kind(0); err != nil {
			return nil, fmt.Errorf("xla: asking what the device is: %w", err)
		}
	}
	file, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("xla: plugin: %w", err)
	}
	p := client.Plugin()
	e.identity = fmt.Sprintf("xla on %s; plugin %s of %d bytes, PJRT %d.%d; gomlx %s, go-xla %s; rewrite %d; convolution %s; %d x %s",
		client.Platform, client.Version, file.Size(), p.Major, p.Minor, gomlxVersion, goXLAVersion, onnx.RewriteVersion, e.form, e.devices, device)
	return e, nil
}

// start loads a plugin and starts its devices.
func start(path string) (*pjrt.Client, error) {
	if os.Getenv("PJRT_NPROC") == "" { // GOMAXPROCS knows a container's limit
		_ = pjrt.Setenv("PJRT_NPROC", fmt.Sprint(runtime.GOMAXPROCS(0))) // without it the pool is larger, that is all
	}
	if err := prepareCUDA(path); err != nil {
		return nil, err
	}
	plugin, err := pjrt.Load(path)
	if err != nil {
		return nil, &models.Error{Code: models.CodeNoEngine, Detail: fmt.Sprintf("XLA's plugin does not load: %v", err), Remedy: remedyFor(path), Err: err}
	}
	client, err := plugin.NewClient(clientOptions(path))
	if err != nil {
		return nil, &models.Error{Code: models.CodeNoEngine, Detail: fmt.Sprintf("XLA finds no device to run on: %v", err), Remedy: remedyFor(path), Err: err}
	}
	return client, nil
}

// Name is "xla".
func (e *Engine) Name() string { return "xla" }

// Identity names the platform and device, the plugin, the modules that make its programs, and the form of convolutions.
func (e *Engine) Identity() string { return e.identity }

// Platform is "cpu" or "cuda".
func (e *Engine) Platform() string { return e.client.Platform }

// Precisions has bf16 first on a GPU. Processors emulate it.
func (e *Engine) Precisions() []models.Precision {
	if e.host() {
		return []models.Precision{models.F32, models.BF16}
	}
	return []models.Precision{models.BF16, models.F32}
}

// host tells whether the device is the processor.
func (e *Engine) host() bool { return e.client.Platform == "cpu" }

func (e *Engine) checkPrecision(p models.Precision) (models.Precision, error) {
	if p == "" {
		p = models.F32
	}
	if !slices.Contains(e.Precisions(), p) {
		return "", &models.Error{Code: models.CodePrecision, Detail: fmt.Sprintf("%q is asked for, XLA has %q", p, e.Precisions()), Remedy: "choose precision f32"}
	}
	return p, nil
}

// Compile compiles for inference on the first device. Streams is how many calls run side by side, each with memory of its own.
func (e *Engine) Compile(ctx context.Context, model []byte, opts *models.CompileOptions) (models.Network, error) {
	var o models.CompileOptions
	if opts != nil {
		o = *opts
	}
	precision, err := e.checkPrecision(o.Precision)
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
	p, err := read(prepared, nil, false)
	if err != nil {
		return nil, err
	}
	n, err := newNetwork(e, p, precision, max(o.Streams, 1))
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		_ = n.Close() // never fails
		return nil, err
	}
	return n, nil
}

// CompileTraining makes a model ready to be trained. Programs are compiled with the first call that needs them: one for
// each kind of batch (with element weights, mixed), one for updates and one for inference.
func (e *Engine) CompileTraining(ctx context.Context, model []byte, opts models.TrainingOptions) (models.Trainer, error) {
	precision, err := e.checkPrecision(opts.Precision)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := read(model, opts.InputShapes, true)
	if err != nil {
		return nil, err
	}
	t, err := newTrainer(e, p, opts, precision)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		_ = t.Close() // never fails
		return nil, err
	}
	return t, nil
}
