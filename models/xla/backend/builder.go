package backend

import (
	"fmt"
	"slices"

	"github.com/gomlx/go-xla/pkg/stablehlo"
	hlo "github.com/gomlx/go-xla/pkg/types/shapes"
	"github.com/gomlx/go-xla/pkg/types/shardy"
	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/backends/notimplemented"
	"github.com/gomlx/gomlx/pkg/core/shapes"

	hlotypes "github.com/gomlx/go-xla/pkg/types/dtypes"
)

// builder is a backends.Builder.
type builder struct {
	notimplemented.Builder
	backend    *Backend
	name       string
	module     *stablehlo.Builder
	main       *stablehlo.Function
	mesh       *shardy.DeviceMesh // nil for one device
	reductions map[reduction]*stablehlo.Function
}

// value is a backends.Op.
type value struct {
	*stablehlo.Value
	shape shapes.Shape
}

func newBuilder(b *Backend, name string) *builder {
	n := &builder{backend: b, name: name, module: stablehlo.New(name), reductions: map[reduction]*stablehlo.Function{}}
	n.Builder.ErrFn = func(op backends.OpType) error { return fmt.Errorf("xla: operation %s is not implemented", op) }
	if d := b.options.Devices; d > 1 {
		mesh, err := shardy.NewDeviceMesh("devices", []int{d}, []string{"batch"})
		if err == nil { // names and sizes are ours
			n.mesh = mesh
			n.module.WithShardy(mesh)
		}
	}
	n.main = n.module.Main()
	return n
}

func (b *builder) Name() string { return b.name }

// toHLO turns a shape of GoMLX's into go-xla's: their types are numbered alike.
func toHLO(s shapes.Shape) hlo.Shape {
	return hlo.Make(hlotypes.DType(s.DType), slices.Clone(s.Dimensions)...)
}

func fromHLO(s hlo.Shape) shapes.Shape {
	return shapes.Shape{DType: dtypeOf(s.DType), Dimensions: slices.Clone(s.Dimensions)}
}

// wrap makes a backends.Op of what an operation of stablehlo gives.
func wrap(v *stablehlo.Value, err error) (backends.Op, error) {
	if err != nil {
		return nil, err
	}
	return &value{v, fromHLO(v.Shape())}, nil
}

// take returns the values behind operations.
func take(ops ...backends.Op) ([]*value, error) {
	all := make([]*value, len(ops))
	for i, op := range ops {
		v, ok := op.(*value)
		if !ok {
			return nil, fmt.Errorf("xla: operand %d is a %T of another back end", i, op)
		}
		all[i] = v
	}
	return all, nil
}

// OpShape returns an operation's shape.
func (b *builder) OpShape(op backends.Op) (shapes.Shape, error) {
	v, err := take(op)
	if err != nil {
		return shapes.Invalid(), err
	}
	return v[0].shape, nil
}

// Parameter adds an argument of the program.
func (b *builder) Parameter(name string, shape shapes.Shape, _ *backends.ShardingSpec) (backends.Op, error) {
	attributes := map[string]any{}
	if donate := b.backend.options.Donate; donate != nil && donate(name) {
		attributes["jax.buffer_donor"] = true
	}
	var spec *shardy.ShardingSpec
	if b.mesh != nil {
		spec = shardy.NewShardingSpec(b.mesh)
		if split := b.backend.options.Split; split != nil && split(name) {
			spec.AddShardedAxis("batch")
		}
		for spec.Rank() < shape.Rank() {
			spec.AddReplicated()
		}
	}
	return wrap(b.main.NamedInputWithShardingAndAttributes(name, toHLO(shape), spec, attributes))
}

// Constant adds a constant.
func (b *builder) Constant(flat any, dims ...int) (backends.Op, error) {
	return wrap(b.main.ConstantFromFlatAndDimensions(constant(flat), dims...))
}

// Compile ends the graph.
func (b *builder) Compile(outputs []backends.Op, _ []*backends.ShardingSpec) (backends.Executable, error) {
	values, err := take(outputs...)
	if err != nil {
		return nil, err
	}
	results := make([]*stablehlo.Value, len(values))
	var specs []*shardy.ShardingSpec
	for i, v := range values {
		results[i] = v.Value
		if b.mesh != nil {
			spec := shardy.NewShardingSpec(b.mesh)
			for spec.Rank() < v.shape.Rank() {
				spec.AddReplicated()
			}
			specs = append(specs, spec)
		}
	}
	if err := b.main.ReturnWithShardingAndAttributes(results, specs, nil); err != nil {
		return nil, err
	}
	module, err := b.module.Build()
	if err != nil {
		return nil, err
	}
	options, err := b.backend.compileOptions()
	if err != nil {
		return nil, err
	}
	shared, err := programs.get(b.backend.client, module, options, b.backend.options.Devices, len(outputs))
	if err != nil {
		return nil, err
	}
	b.backend.program = &Program{shared: shared}
	return b.backend.program, nil
}
