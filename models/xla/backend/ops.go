package backend

import (
	"fmt"
	"unsafe"

	"github.com/gomlx/go-xla/pkg/stablehlo"
	"github.com/gomlx/go-xla/pkg/types"
	hlotypes "github.com/gomlx/go-xla/pkg/types/dtypes"
	hlobf16 "github.com/gomlx/go-xla/pkg/types/dtypes/bfloat16"
	hlo "github.com/gomlx/go-xla/pkg/types/shapes"
	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/dtypes/bfloat16"
	"github.com/gomlx/gomlx/pkg/core/shapes"
)

func dtypeOf(d hlotypes.DType) dtypes.DType { return dtypes.DType(d) }

// constant gives bfloat16 values the type that go-xla has for them.
func constant(flat any) any {
	if s, ok := flat.([]bfloat16.BFloat16); ok {
		return unsafe.Slice((*hlobf16.BFloat16)(unsafe.Pointer(unsafe.SliceData(s))), len(s))
	}
	return flat
}

// reduction names a function that combines two elements.
type reduction struct {
	dtype dtypes.DType
	max   bool
}

func unary(f func(*stablehlo.Value) (*stablehlo.Value, error), x backends.Op) (backends.Op, error) {
	v, err := take(x)
	if err != nil {
		return nil, err
	}
	return wrap(f(v[0].Value))
}

// pair broadcasts two operands to each other: a scalar to anything, an axis of length 1 to any length.
func pair(lhs, rhs backends.Op) (l, r *value, err error) {
	v, err := take(lhs, rhs)
	if err != nil {
		return nil, nil, err
	}
	l, r = v[0], v[1]
	if l.shape.Equal(r.shape) {
		return l, r, nil
	}
	dims := l.shape.Dimensions
	switch {
	case l.shape.IsScalar():
		dims = r.shape.Dimensions
	case !r.shape.IsScalar():
		if l.shape.Rank() != r.shape.Rank() {
			return nil, nil, fmt.Errorf("xla: shapes %s and %s do not broadcast", l.shape, r.shape)
		}
		dims = make([]int, l.shape.Rank())
		for i := range dims {
			dims[i] = max(l.shape.Dimensions[i], r.shape.Dimensions[i])
		}
	}
	if l, err = l.broadcast(dims); err != nil {
		return nil, nil, err
	}
	r, err = r.broadcast(dims)
	return l, r, err
}

func (v *value) broadcast(dims []int) (*value, error) {
	target := shapes.Make(v.shape.DType, dims...)
	if v.shape.Equal(target) {
		return v, nil
	}
	axes := make([]int, v.shape.Rank())
	for i := range axes {
		axes[i] = i
	}
	b, err := stablehlo.BroadcastInDim(v.Value, toHLO(target), axes)
	if err != nil {
		return nil, err
	}
	return &value{b, target}, nil
}

func binary(f func(l, r *stablehlo.Value) (*stablehlo.Value, error), lhs, rhs backends.Op) (backends.Op, error) {
	l, r, err := pair(lhs, rhs)
	if err != nil {
		return nil, err
	}
	return wrap(f(l.Value, r.Value))
}

func compare(direction types.ComparisonDirection, lhs, rhs backends.Op) (backends.Op, error) {
	l, r, err := pair(lhs, rhs)
	if err != nil {
		return nil, err
	}
	kind := types.CompareFloat
	switch d := l.shape.DType; {
	case d.IsFloat():
	case d.IsUnsigned() || d == dtypes.Bool:
		kind = types.CompareUnsigned
	default:
		kind = types.CompareSigned
	}
	return wrap(stablehlo.Compare(l.Value, r.Value, direction, kind))
}

// The elementwise operations, as backends.StandardOps has them.

func (b *builder) Abs(x backends.Op) (backends.Op, error)   { return unary(stablehlo.Abs, x) }
func (b *builder) Neg(x backends.Op) (backends.Op, error)   { return unary(stablehlo.Negate, x) }
func (b *builder) Exp(x backends.Op) (backends.Op, error)   { return unary(stablehlo.Exponential, x) }
func (b *builder) Log(x backends.Op) (backends.Op, error)   { return unary(stablehlo.Log, x) }
func (b *builder) Log1p(x backends.Op) (backends.Op, error) { return unary(stablehlo.LogPlusOne, x) }
func (b *builder) Sqrt(x backends.Op) (backends.Op, error)  { return unary(stablehlo.Sqrt, x) }
func (b *builder) Rsqrt(x backends.Op) (backends.Op, error) { return unary(stablehlo.Rsqrt, x) }
func (b *builder) Tanh(x backends.Op) (backends.Op, error)  { return unary(stablehlo.Tanh, x) }
func (b *builder) Erf(x backends.Op) (backends.Op, error)   { return unary(stablehlo.Erf, x) }
func (b *builder) Sign(x backends.Op) (backends.Op, error)  { return unary(stablehlo.Sign, x) }
func (b *builder) Floor(x backends.Op) (backends.Op, error) { return unary(stablehlo.Floor, x) }
func (b *builder) Logistic(x backends.Op) (backends.Op, error) {
	return unary(stablehlo.Logistic, x)
}
func (b *builder) LogicalNot(x backends.Op) (backends.Op, error) { return unary(stablehlo.Not, x) }
func (b *builder) Identity(x backends.Op) (backends.Op, error)   { return x, nil }

func (b *builder) Add(l, r backends.Op) (backends.Op, error) { return binary(stablehlo.Add, l, r) }
func (b *builder) Sub(l, r backends.Op) (backends.Op, error) {
	return binary(stablehlo.Subtract, l, r)
}
func (b *builder) Mul(l, r backends.Op) (backends.Op, error) {
	return binary(stablehlo.Multiply, l, r)
}
func (b *builder) Div(l, r backends.Op) (backends.Op, error) { return binary(stablehlo.Divide, l, r) }
func (b *builder) Pow(l, r backends.Op) (backends.Op, error) { return binary(stablehlo.Power, l, r) }
func (b *builder) Max(l, r backends.Op) (backends.Op, error) { return binary(stablehlo.Maximum, l, r) }
func (b *builder) Min(l, r backends.Op) (backends.Op, error) { return binary(stablehlo.Minimum, l, r) }
func (b *builder) LogicalAnd(l, r backends.Op) (backends.Op, error) {
	return binary(stablehlo.And, l, r)
}
func (b *builder) LogicalOr(l, r backends.Op) (backends.Op, error) { return binary(stablehlo.Or, l, r) }

func (b *builder) Equal(l, r backends.Op) (backends.Op, error) { return compare(types.CompareEQ, l, r) }
func (b *builder) NotEqual(l, r backends.Op) (backends.Op, error) {
	return compare(types.CompareNE, l, r)
}
func (b *builder) GreaterThan(l, r backends.Op) (backends.Op, error) {
	return compare(types.CompareGT, l, r)
}
func (b *builder) GreaterOrEqual(l, r backends.Op) (backends.Op, error) {
	return compare(types.CompareGE, l, r)
}
func (b *builder) LessThan(l, r backends.Op) (backends.Op, error) {
	return compare(types.CompareLT, l, r)
}
func (b *builder) LessOrEqual(l, r backends.Op) (backends.Op, error) {
	return compare(types.CompareLE, l, r)
}

// Where broadcasts scalars among the last two operands.
func (b *builder) Where(condition, onTrue, onFalse backends.Op) (backends.Op, error) {
	v, err := take(condition)
	if err != nil {
		return nil, err
	}
	t, f, err := pair(onTrue, onFalse)
	if err != nil {
		return nil, err
	}
	if t.shape.IsScalar() {
		if t, err = t.broadcast(v[0].shape.Dimensions); err != nil {
			return nil, err
		}
		if f, err = f.broadcast(v[0].shape.Dimensions); err != nil {
			return nil, err
		}
	}
	return wrap(stablehlo.Select(v[0].Value, t.Value, f.Value))
}

func (b *builder) ConvertDType(x backends.Op, to dtypes.DType) (backends.Op, error) {
	return unary(func(v *stablehlo.Value) (*stablehlo.Value, error) {
		return stablehlo.Convert(v, hlotypes.DType(to))
	}, x)
}

// Operations that move elements.

func (b *builder) Iota(shape shapes.Shape, axis int) (backends.Op, error) {
	return wrap(b.main.Iota(toHLO(shape), axis))
}

func (b *builder) BroadcastInDim(x backends.Op, to shapes.Shape, axes []int) (backends.Op, error) {
	return unary(func(v *stablehlo.Value) (*stablehlo.Value, error) {
		return stablehlo.BroadcastInDim(v, toHLO(to), axes)
	}, x)
}

func (b *builder) Reshape(x backends.Op, dims ...int) (backends.Op, error) {
	return unary(func(v *stablehlo.Value) (*stablehlo.Value, error) {
		return stablehlo.Reshape(v, hlo.Make(v.Shape().DType, dims...))
	}, x)
}

func (b *builder) Slice(x backends.Op, starts, limits, strides []int) (backends.Op, error) {
	return unary(func(v *stablehlo.Value) (*stablehlo.Value, error) {
		return stablehlo.Slice(v, starts, limits, strides)
	}, x)
}

func (b *builder) Transpose(x backends.Op, permutation ...int) (backends.Op, error) {
	return unary(func(v *stablehlo.Value) (*stablehlo.Value, error) { return stablehlo.Transpose(v, permutation...) }, x)
}

func (b *builder) Reverse(x backends.Op, axes ...int) (backends.Op, error) {
	return unary(func(v *stablehlo.Value) (*stablehlo.Value, error) { return stablehlo.Reverse(v, axes...) }, x)
}

func (b *builder) Concatenate(axis int, operands ...backends.Op) (backends.Op, error) {
	v, err := take(operands...)
	if err != nil {
		return nil, err
	}
	all := make([]*stablehlo.Value, len(v))
	for i := range v {
		all[i] = v[i].Value
	}
	return wrap(stablehlo.Concatenate(axis, all...))
}

func (b *builder) Pad(x, fill backends.Op, axes ...backends.PadAxis) (backends.Op, error) {
	v, err := take(x, fill)
	if err != nil {
		return nil, err
	}
	rank := v[0].shape.Rank()
	start, end, interior := make([]int, rank), make([]int, rank), make([]int, rank)
	for i, a := range axes {
		start[i], end[i], interior[i] = a.Start, a.End, a.Interior
	}
	return wrap(stablehlo.Pad(v[0].Value, v[1].Value, start, end, interior))
}

// Products and sums.

// precision asks for float32 products of float32 operands, which GPUs else compute in TF32.
func precision(d dtypes.DType) types.DotGeneralPrecisionType {
	if d == dtypes.Float32 {
		return types.DotGeneralPrecisionHighest
	}
	return types.DotGeneralPrecisionDefault
}

func (b *builder) DotGeneral(lhs backends.Op, lhsSum, lhsBatch []int, rhs backends.Op, rhsSum, rhsBatch []int) (backends.Op, error) {
	v, err := take(lhs, rhs)
	if err != nil {
		return nil, err
	}
	p := precision(v[0].shape.DType)
	return wrap(stablehlo.DotGeneral(v[0].Value, lhsSum, lhsBatch, v[1].Value, rhsSum, rhsBatch).Precision(p, p).Done())
}

func (b *builder) ConvGeneral(input, kernel backends.Op, axes backends.ConvolveAxesConfig, strides []int, paddings [][2]int,
	inputDilations, kernelDilations []int, channelGroups, batchGroups int) (backends.Op, error) {
	v, err := take(input, kernel)
	if err != nil {
		return nil, err
	}
	p := precision(v[0].shape.DType)
	return wrap(stablehlo.Convolution(v[0].Value, v[1].Value, strides, paddings, inputDilations, kernelDilations,
		axes.InputBatch, axes.InputChannels, axes.InputSpatial, axes.KernelInputChannels, axes.KernelOutputChannels, axes.KernelSpatial,
		axes.OutputBatch, axes.OutputChannels, axes.OutputSpatial, channelGroups, batchGroups, p, p))
}

func (b *builder) ReduceSum(x backends.Op, axes ...int) (backends.Op, error) {
	return b.reduce(x, false, axes)
}

func (b *builder) ReduceMax(x backends.Op, axes ...int) (backends.Op, error) {
	return b.reduce(x, true, axes)
}

func (b *builder) reduce(x backends.Op, largest bool, axes []int) (backends.Op, error) {
	v, err := take(x)
	if err != nil {
		return nil, err
	}
	if len(axes) == 0 {
		for i := range v[0].shape.Rank() {
			axes = append(axes, i)
		}
	}
	key := reduction{v[0].shape.DType, largest}
	var first any = float32(0)
	if largest {
		first = key.dtype.LowestValue()
	}
	if key.dtype != dtypes.Float32 {
		return nil, fmt.Errorf("xla: a reduction of %s: convert to float32 first", key.dtype)
	}
	start, err := b.main.ConstantFromScalar(first)
	if err != nil {
		return nil, err
	}
	if b.reductions[key] == nil {
		f := b.main.Closure()
		var pair [2]*stablehlo.Value
		for i, name := range []string{"a", "b"} {
			if pair[i], err = f.NamedInput(name, hlo.Make(hlotypes.DType(key.dtype))); err != nil {
				return nil, err
			}
		}
		combine := stablehlo.Add
		if largest {
			combine = stablehlo.Maximum
		}
		y, err := combine(pair[0], pair[1])
		if err != nil {
			return nil, err
		}
		if err := f.Return(y); err != nil {
			return nil, err
		}
		b.reductions[key] = f
	}
	return wrap(stablehlo.Reduce(v[0].Value, start, b.reductions[key], axes...))
}

func (b *builder) RNGBitGenerator(state backends.Op, shape shapes.Shape) (next, values backends.Op, err error) {
	v, err := take(state)
	if err != nil {
		return nil, nil, err
	}
	n, bits, err := stablehlo.RNGBitGenerator(v[0].Value, toHLO(shape), types.RNGPhilox)
	if err != nil {
		return nil, nil, err
	}
	next, _ = wrap(n, nil)
	values, _ = wrap(bits, nil)
	return next, values, nil
}
