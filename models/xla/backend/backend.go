// Package backend lets GoMLX's graphs (github.com/gomlx/gomlx/pkg/core/graph) run on a PJRT client: each operation of a graph
// becomes one of StableHLO's, written with github.com/gomlx/go-xla/pkg/stablehlo. GoMLX's own XLA back end does
// the same with cgo; this one leaves cspine a static binary, compiles for several devices, and lets parameters share their memory with results.
//
// It has the operations that models/xla uses; others fail with "not implemented". Invariants:
//   - float32 is multiplied in float32: no TF32 unless a graph converts.
//   - A parameter that is let go (Options.Donate) must not be used after a run.
package backend

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/backends/notimplemented"
	"github.com/gomlx/gomlx/pkg/core/shapes"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/cspine/cspine/models/xla/pjrt"
)

// Options of a graph.
type Options struct {
	// Donate tells which parameters' memory a result of the same shape takes over.
	Donate func(parameter string) bool
	// Devices is how many devices share the work, by partitions that XLA's partitioner makes; 0 means one.
	Devices int
	// Split tells which parameters are split over the devices along their first axis. The others are whole on each.
	Split func(parameter string) bool
	// Flags are XLA's debug options for this program, by name; values are bools, int64s or strings.
	Flags map[string]any
}

// Backend is a backends.Backend for one graph.
type Backend struct {
	notimplemented.Backend
	client  *pjrt.Client
	options Options
	program *Program
}

// New returns a back end for one graph.
func New(client *pjrt.Client, options Options) *Backend {
	options.Devices = max(options.Devices, 1)
	return &Backend{client: client, options: options}
}

// Program is the compiled graph, once it is compiled.
func (b *Backend) Program() *Program { return b.program }

// Name is "xla".
func (b *Backend) Name() string        { return "xla" }
func (b *Backend) String() string      { return "xla" }
func (b *Backend) Description() string { return "xla on " + b.client.Platform }

// IsFinalized is always false.
func (b *Backend) IsFinalized() bool { return false }

// Builder begins a graph.
func (b *Backend) Builder(name string) backends.Builder { return newBuilder(b, name) }

// Program is a compiled graph. Equal graphs of one process share what the plugin compiled.
type Program struct {
	shared *cached
	once   sync.Once
}

// Run is pjrt.Executable's.
func (p *Program) Run(arguments [][]*pjrt.Buffer) ([][]*pjrt.Buffer, error) {
	return p.shared.exec.Run(arguments)
}

// Finalize gives the program back. It must not run any more.
func (p *Program) Finalize() { p.once.Do(func() { programs.put(p.shared) }) }

// What follows is what GoMLX asks of an executable besides.

// Inputs returns nothing.
func (p *Program) Inputs() (names []string, shapes []shapes.Shape) { return nil, nil }

// Outputs returns nothing.
func (p *Program) Outputs() []shapes.Shape { return nil }

// Execute fails: call Run.
func (p *Program) Execute([]backends.Buffer, []bool, backends.DeviceNum) ([]backends.Buffer, error) {
	return nil, errors.New("xla: a program runs by its method Run")
}

// compileOptions is a CompileOptionsProto (xla/pjrt/proto/compile_options.proto) for one replica of n partitions.
func (b *Backend) compileOptions() ([]byte, error) {
	n := b.options.Devices
	integer := func(to []byte, field protowire.Number, v int64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(to, field, protowire.VarintType), uint64(v))
	}
	message := func(to []byte, field protowire.Number, body []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(to, field, protowire.BytesType), body)
	}
	var build []byte
	build = integer(build, 1, -1) // device_ordinal: any
	build = integer(build, 4, 1)  // num_replicas
	build = integer(build, 5, int64(n))
	if n > 1 {
		build = integer(build, 6, 1) // use_spmd_partitioning
		var computations []byte
		for d := range n {
			computations = message(computations, 3, integer(nil, 1, int64(d)))
		}
		assignment := integer(integer(nil, 1, 1), 2, int64(n))
		build = message(build, 9, append(assignment, computations...)) // device_assignment
		build = integer(build, 19, 1)                                  // use_shardy_partitioner
	} else {
		one := integer(integer(nil, 1, 1), 2, 1)
		build = message(build, 9, message(one, 3, integer(nil, 1, 0)))
	}
	all := message(nil, 3, build)
	for _, name := range slices.Sorted(maps.Keys(b.options.Flags)) { // env_option_overrides
		var v []byte
		switch x := b.options.Flags[name].(type) {
		case string:
			v = message(nil, 1, []byte(x))
		case bool:
			v = integer(nil, 2, 0)
			if x {
				v = integer(nil, 2, 1)
			}
		case int64:
			v = integer(nil, 3, x)
		default:
			return nil, fmt.Errorf("xla: flag %s has type %T", name, x)
		}
		all = message(all, 7, message(message(nil, 1, []byte(name)), 2, v))
	}
	return all, nil
}
