// Package program makes an ONNX graph ready for an engine: every operator known and its attributes read,
// every shape concrete, constants folded, weights told from constants. Engines that interpret graphs
// (models/gorgonia, models/xla) map a short list of typed operations and need to know nothing of ONNX's
// history of versions, defaults and exporters.
//
// Invariants:
//   - An operation that is not understood entirely must be refused with its node's name, never approximated.
//   - Compiling must cost memory in proportion to the file and to the shapes that are asked for, and both are bounded.
//   - Ops stand in an order in which each follows what it reads; nothing is computed that no output needs.
//   - Data are views of, or made from, the file's bytes and must not be changed.
package program

// Program is one graph for one set of input shapes.
type Program struct {
	Values  []Value
	Ops     []Op
	Inputs  []int // indices into Values, in the model's order
	Outputs []int // each computed by an operation of its own, and named as the model names it
}

// Role says where a value comes from.
type Role int

// The roles.
const (
	Computed  Role = iota // made by an operation
	Input                 // given at each run
	Parameter             // an initializer that training changes
	Statistic             // a running mean or variance of a BatchNorm
	Constant              // known when compiled
)

// Value is a dense float32 tensor in C order, with at most 2³¹ elements and eight axes, none of them empty.
type Value struct {
	// Name is the ONNX name; parameters and statistics are found in the model's initializers by it.
	Name  string
	Shape []int // concrete; empty for a scalar
	Role  Role
	// Data is the initial value of a Parameter, Statistic or Constant; nil otherwise.
	Data []float32
}

// Len returns the number of elements.
func (v *Value) Len() int {
	n := 1
	for _, d := range v.Shape {
		n *= d
	}
	return n
}

// Op is one operation. In has −1 for an optional input that is left out between others; at the end it is shorter.
type Op struct {
	Do      Operation
	In, Out []int
	// Node is the name of the ONNX node it comes from, for errors.
	Node string
}

// Operation is one of the types below, by pointer. Spatial slices have an entry for each axis after the second: two for
// images, three for volumes, one for sequences.
type Operation interface{ operation() }

// Conv is a convolution: x [N,C,…], w [M,C/Group,…], optional bias [M] → [N,M,…].
type Conv struct {
	Strides, Dilations, PadBegin, PadEnd []int
	Group                                int
}

// ConvTranspose is the gradient of a convolution by its input: x [N,C,…], w [C,M/Group,…], optional bias [M] → [N,M,…]. Output
// padding shows in the output's shape alone.
type ConvTranspose struct {
	Strides, Dilations, PadBegin, PadEnd []int
	Group                                int
}

// BatchNorm normalises each channel: x [N,C,…], scale [C], bias [C], mean [C], variance [C] → x's shape. Training uses the
// batch's mean and biased variance, and moves the statistics by running = (1−Share)·running + Share·batch, with the unbiased variance.
type BatchNorm struct {
	Epsilon float64
	Share   float64 // PyTorch's momentum, 1 − ONNX's
}

// LayerNorm normalises over the axes from Axis on: x, scale, optional bias.
type LayerNorm struct {
	Axis    int
	Epsilon float64
}

// Unary is a function of each element.
type Unary struct {
	Func  Func
	Alpha float32 // LeakyRelu's slope below zero
}

// Func is an elementwise function.
type Func string

// The elementwise functions.
const (
	Relu      Func = "Relu"
	LeakyRelu Func = "LeakyRelu"
	Sigmoid   Func = "Sigmoid"
	Silu      Func = "Silu" // x·sigmoid(x); found as Mul of a value and its Sigmoid
	Gelu      Func = "Gelu" // by the error function; found as exporters spell it too
	GeluTanh  Func = "GeluTanh"
	Erf       Func = "Erf"
	Tanh      Func = "Tanh"
	Exp       Func = "Exp"
	Log       Func = "Log"
	Sqrt      Func = "Sqrt"
	Neg       Func = "Neg"
)

// Binary combines two values element by element with numpy's broadcasting.
type Binary struct{ Func Arithmetic }

// Arithmetic is a function of two elements.
type Arithmetic string

// The arithmetic functions.
const (
	Add Arithmetic = "Add"
	Sub Arithmetic = "Sub"
	Mul Arithmetic = "Mul"
	Div Arithmetic = "Div"
	Pow Arithmetic = "Pow" // the exponent is a scalar constant
)

// Pool takes the largest or mean value of a window: [N,C,…] → [N,C,…].
type Pool struct {
	Max                                          bool
	Kernel, Strides, Dilations, PadBegin, PadEnd []int
	// CountPad: a mean counts padding as zeros. Otherwise padding, and what lies beyond it by a rounded-up output shape,
	// counts not at all. (Windows that a rounded-up shape lets reach beyond the padding never count what lies there.)
	CountPad bool
}

// Mean is ReduceMean and GlobalAveragePool: the mean over Axes, which the output keeps with length 1, or drops.
type Mean struct {
	Axes []int // sorted, not negative
}

// Resize enlarges or shrinks the spatial axes.
type Resize struct {
	// Linear interpolates; otherwise each output takes the nearest input, rounding down ("asymmetric", "floor"), and the scales are whole numbers.
	Linear bool
	// AlignCorners is for Linear; otherwise "half_pixel" (edges are clamped): output o lies at (o + ½)/scale − ½.
	AlignCorners bool
	// Scales has a factor for each spatial axis. The output's length is the input's times it, rounded down, so that it may be a little more than
	// output over input.
	Scales []float64
}

// Concat joins values along an axis.
type Concat struct{ Axis int }

// Slice takes out[i] = in[Start + i·Step] on every axis; the output's shape says how many. A Step may be negative (a flip).
type Slice struct{ Start, Step []int }

// Pad surrounds a value with a constant.
type Pad struct {
	Begin, End []int // by axis; not negative
	Value      float32
}

// MatMul multiplies matrices, with numpy's batch broadcasting: Alpha·A·B + Beta·C. C is optional and broadcasts to the result, as in Gemm. TransA and
// TransB swap the last two axes.
type MatMul struct {
	TransA, TransB bool
	Alpha, Beta    float32
}

// Reshape gives the same elements another shape: Reshape, Flatten, Squeeze, Unsqueeze.
type Reshape struct{}

// Transpose permutes axes: output axis i is input axis Perm[i].
type Transpose struct{ Perm []int }

// Expand repeats a value by numpy's broadcasting to the output's shape.
type Expand struct{}

// LSTM is ONNX's with its default activations and zero initial states: x [T,B,I], w [D,4H,I], r [D,4H,H], optional bias [D,8H], gates in
// the order input, output, forget, cell → y [T,D,B,H]. D is 2 where Bidirectional. Reverse is a single direction run backwards. Final states are refused
// unless nothing reads them.
type LSTM struct {
	Hidden                 int
	Bidirectional, Reverse bool
}

// Softmax over one axis.
type Softmax struct{ Axis int }

// Dropout zeroes a share of the elements in training and divides the rest by 1−Ratio; in inference it does nothing.
type Dropout struct{ Ratio float32 }

func (*Conv) operation()          {}
func (*ConvTranspose) operation() {}
func (*BatchNorm) operation()     {}
func (*LayerNorm) operation()     {}
func (*Unary) operation()         {}
func (*Binary) operation()        {}
func (*Pool) operation()          {}
func (*Mean) operation()          {}
func (*Resize) operation()        {}
func (*Concat) operation()        {}
func (*Slice) operation()         {}
func (*Pad) operation()           {}
func (*MatMul) operation()        {}
func (*Reshape) operation()       {}
func (*Transpose) operation()     {}
func (*Expand) operation()        {}
func (*LSTM) operation()          {}
func (*Softmax) operation()       {}
func (*Dropout) operation()       {}
