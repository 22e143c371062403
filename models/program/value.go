package program

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/cspine/cspine/models/onnx"
)

// Bounds. maxElements is PyTorch's and ONNX Runtime's own limit for most kernels.
const (
	maxRank     = 8
	maxElements = 1 << 31
	// foldFloor elements, and four times the initializers' that are read, may be computed while compiling.
	foldFloor = 1 << 24
	// foldGrowth is how many elements a folded value may have that is larger than what it is made from.
	foldGrowth = 1 << 16
	// peek is how large a value may be that is kept known though training computes it.
	peek = 1 << 10
)

// value is a tensor of the graph: computed at run time, or known.
type value struct {
	name  string
	shape []int
	role  Role
	// known: the elements are in floats, or in ints where integer. A known value with a maker is made from parameters and
	// changes with them.
	known, integer bool
	floats         []float32
	ints           []int64
	maker          *step
	plain          bool         // the ones of a LayerNorm that has no scale of its own
	source         *onnx.Tensor // of an initializer that was not yet read
	part           *node        // that made it on its way to an output
	index          int          // in Program.Values, plus 1
}

func (v *value) len() int { return product(v.shape) }

// number returns a known element.
func (v *value) number(i int) float64 {
	if v.integer {
		return float64(v.ints[i])
	}
	return decimal(v.floats[i])
}

// trained tells whether training changes a known value.
func (v *value) trained() bool { return v.maker != nil || v.role == Parameter || v.role == Statistic }

// is tells whether v is known and its only element nearly x.
func (v *value) is(x float64) bool {
	if v == nil || !v.known || v.integer || len(v.floats) != 1 {
		return false
	}
	d := float64(v.floats[0]) - x
	return d < 1e-6 && d > -1e-6
}

// all tells whether every element of v is the constant x.
func (v *value) all(x float32) bool {
	return v.role == Constant && v.known && v.maker == nil && !slices.ContainsFunc(v.floats, func(e float32) bool { return e != x })
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// badShape says what is wrong with the shape of a value that is there at run time, or nothing.
func badShape(shape []int) string {
	if len(shape) > maxRank {
		return fmt.Sprintf("its rank is %d; %d is the most", len(shape), maxRank)
	}
	n := 1
	for _, d := range shape {
		if d < 1 {
			return fmt.Sprintf("its shape %v has the length %d", shape, d)
		}
		if d > maxElements/n {
			return fmt.Sprintf("its shape %v has more than %d elements", shape, maxElements)
		}
		n *= d
	}
	return ""
}

// load reads an initializer when it is first needed.
func (n *node) load(v *value) *value {
	if v.source == nil {
		return v
	}
	if err := n.c.readInitializer(v); err != nil {
		n.refuse("%s", err.Detail)
	}
	return v
}

func (c *compiler) readInitializer(v *value) *Error {
	t := v.source
	if len(t.Dims) > maxRank {
		return refusal("the constant %s has rank %d; %d is the most", quote(v.name), len(t.Dims), maxRank)
	}
	var ok bool
	if t.Type.IsFloat() {
		v.floats, ok = t.Floats()
	} else {
		v.ints, ok = t.Int64s()
		v.integer, v.role = true, Constant
	}
	if !ok {
		return refusal("the constant %s is of type %v, or its values are not as many as its shape %v says", quote(v.name), t.Type, t.Dims)
	}
	for _, d := range t.Dims {
		v.shape = append(v.shape, int(d))
	}
	if v.len() > maxElements {
		return refusal("the constant %s of shape %v has more than %d elements", quote(v.name), t.Dims, maxElements)
	}
	v.known, v.source = true, nil
	c.budget += 4 * int64(v.len())
	return nil
}

// floatsOf and intsOf make known values.
func (n *node) floatsOf(values []float32, shape ...int) *value {
	return &value{shape: shape, role: Constant, known: true, floats: values}
}

func (n *node) intsOf(values []int64, shape ...int) *value {
	return &value{shape: shape, role: Constant, known: true, integer: true, ints: values}
}

func (n *node) number(x float64) *value { return n.named(n.floatsOf([]float32{float32(x)})) }

// named gives a value that is no output of the node a name.
func (n *node) named(v *value) *value {
	n.parts++
	v.part, v.name = n, n.Outputs[0]+"/"+strconv.Itoa(n.parts)
	return v
}

// spend takes elements from what may be computed while compiling, and tells whether there were enough.
func (c *compiler) spend(elements int) bool {
	if int64(elements) > c.budget {
		return false
	}
	c.budget -= int64(elements)
	return true
}

// emit returns the result of an operation: at once where all it reads is known, else as a step. A nil input is left out. The value
// has no name yet.
func (n *node) emit(do Operation, shape []int, in ...*value) *value {
	known, integer, real, trained, size := true, false, false, false, 0
	for _, v := range in {
		if v == nil {
			continue
		}
		known = known && v.known
		integer, real = integer || v.integer, real || !v.integer
		trained = trained || v.trained()
		size += v.len()
	}
	if integer && real {
		n.refuse("some inputs have whole numbers and others have not")
	}
	if len(shape) > maxRank {
		n.refuse("its result has rank %d; %d is the most", len(shape), maxRank)
	}
	var folded *value
	keeps := n.c.opts.Training && trained
	if known {
		if elements, ok := boundedProduct(shape); ok && elements <= max(foldGrowth, size) && (!keeps || elements <= peek && size <= peek) && n.c.spend(max(elements, size)) {
			folded = n.evaluate(do, shape, in)
		}
		if folded != nil && !keeps {
			return folded
		}
	}
	if integer {
		n.refuse("it would compute with whole numbers at run time, or with too many of them")
	}
	v := n.c.step(do, shape, title(n.Node), in...)
	if folded != nil {
		v.known, v.floats = true, folded.floats
	}
	return v
}

// step adds an operation that runs.
func (c *compiler) step(do Operation, shape []int, node string, in ...*value) *value {
	if detail := badShape(shape); detail != "" {
		panic(c.current.error("its result: " + detail))
	}
	for _, v := range in {
		if v == nil {
			continue
		}
		if detail := badShape(v.shape); detail != "" {
			panic(c.current.error("it reads " + quote(v.name) + ": " + detail))
		}
	}
	v := &value{shape: slices.Clone(shape)}
	v.maker = &step{do: do, in: in, out: []*value{v}, node: node}
	c.steps = append(c.steps, v.maker)
	return v
}

// part is emit for a value that is no output of the node.
func (n *node) part(do Operation, shape []int, in ...*value) *value {
	v := n.emit(do, shape, in...)
	if v.name == "" {
		n.named(v)
	}
	return v
}

// boundedProduct returns the elements of a shape, and false where there are more than maxElements or a length is negative.
func boundedProduct(shape []int) (int, bool) {
	n := 1
	for _, d := range shape {
		if d < 0 || d > maxElements {
			return 0, false
		}
		if n *= d; n > maxElements {
			return 0, false
		}
	}
	return n, true
}
