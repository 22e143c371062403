package program

import (
	"math"
	"slices"

	"github.com/cspine/cspine/models/onnx"
)

// This file has the operators whose results are always known: shapes, and the arithmetic on them that exporters write.

func constant(n *node) {
	v := &value{role: Constant}
	t, isTensor := n.attribute("value", onnx.TensorKind)
	f, isFloat := n.attribute("value_float", onnx.FloatKind)
	fs, isFloats := n.attribute("value_floats", onnx.FloatsKind)
	i, isInt := n.attribute("value_int", onnx.IntKind)
	is, isInts := n.attribute("value_ints", onnx.IntsKind)
	switch {
	case isTensor && t.Tensor != nil:
		v.source, v.name = t.Tensor, n.Outputs[0]
		n.load(v)
	case isFloat:
		v = n.floatsOf([]float32{f.Float})
	case isFloats:
		v = n.floatsOf(fs.Floats, len(fs.Floats))
	case isInt:
		v = n.intsOf([]int64{i.Int})
	case isInts:
		v = n.intsOf(is.Ints, len(is.Ints))
	default:
		n.refuse("it has no number")
	}
	n.give(0, v)
}

func constantOfShape(n *node) {
	list, _ := n.knownInts(0, "shape")
	if len(list) > maxRank {
		n.refuse("the shape has %d axes; %d is the most", len(list), maxRank)
	}
	shape := n.whole("shape", list, 0)
	fill := n.floatsOf([]float32{0})
	if a, ok := n.attribute("value", onnx.TensorKind); ok && a.Tensor != nil {
		fill = n.load(&value{role: Constant, name: n.Outputs[0], source: a.Tensor})
		if fill.len() != 1 {
			n.refuse("its value has %d elements, not one", fill.len())
		}
	}
	n.named(fill).shape = []int{}
	n.give(0, n.expanded(fill, shape))
}

func shapeOf(n *node) {
	shape := n.in[0].shape
	start, count := span(int64(n.int("start", 0)), int64(n.int("end", math.MaxInt32)), 1, int64(len(shape)))
	list := make([]int64, count)
	for i := range list {
		list[i] = int64(shape[start+i])
	}
	n.give(0, n.intsOf(list, count))
}

func sizeOf(n *node) { n.give(0, n.intsOf([]int64{int64(n.in[0].len())})) }

// known refuses inputs that are not there when compiling, or that training changes.
func (n *node) known() {
	for i, v := range n.in {
		if v != nil && (!v.known || n.c.opts.Training && v.trained()) {
			n.refuse("input %d must not depend on the model's inputs or weights", i)
		}
	}
}

// work takes the elements of a result from what may be computed.
func (n *node) work(shape []int) int {
	elements, ok := boundedProduct(shape)
	if !ok || len(shape) > maxRank || !n.c.spend(elements) {
		n.refuse("its result of shape %v is too large to be computed while compiling", shape)
	}
	return elements
}

func numbers(n *node) {
	n.known()
	start, limit, step := n.scalar(0, "start", 0), n.scalar(1, "limit", 0), n.scalar(2, "delta", 1)
	count := math.Max(math.Ceil((limit-start)/step), 0)
	if !(count <= maxElements) { // NaN too
		n.refuse("it counts from %v to %v by %v", start, limit, step)
	}
	n.work([]int{int(count)})
	if n.in[0].integer {
		list := make([]int64, int(count))
		for i := range list {
			list[i] = n.in[0].ints[0] + int64(i)*n.in[2].ints[0]
		}
		n.give(0, n.intsOf(list, len(list)))
		return
	}
	list := make([]float32, int(count))
	for i := range list {
		list[i] = float32(start + float64(i)*step)
	}
	n.give(0, n.floatsOf(list, len(list)))
}

// aligned returns the inputs, which are known, with one shape.
func (n *node) aligned() (in []*value, shape []int) {
	n.known()
	for i, v := range n.in {
		if v == nil {
			n.refuse("input %d is left out", i)
		}
		var ok bool
		if shape, ok = broadcast(shape, v.shape); !ok {
			n.refuse("the shapes %v and %v don't fit together", shape, v.shape)
		}
	}
	for _, v := range n.in {
		n.work(shape)
		in = append(in, stretched(v, shape))
	}
	return in, shape
}

func compare(holds func(a, b float64) bool) func(*node) {
	return func(n *node) {
		in, shape := n.aligned()
		list := make([]int64, product(shape))
		for i := range list {
			if holds(in[0].number(i), in[1].number(i)) {
				list[i] = 1
			}
		}
		n.give(0, n.intsOf(list, shape...))
	}
}

func not(n *node) {
	in, shape := n.aligned()
	list := make([]int64, product(shape))
	for i := range list {
		if in[0].number(i) == 0 {
			list[i] = 1
		}
	}
	n.give(0, n.intsOf(list, shape...))
}

func mod(n *node) {
	in, shape := n.aligned()
	truncated := n.flag("fmod")
	if !in[0].integer || !in[1].integer {
		n.refuse("whole numbers are expected")
	}
	list := make([]int64, product(shape))
	for i := range list {
		a, b := in[0].ints[i], in[1].ints[i]
		if b == 0 {
			n.refuse("it divides by zero")
		}
		if list[i] = a % b; !truncated && list[i] != 0 && (list[i] < 0) != (b < 0) {
			list[i] += b
		}
	}
	n.give(0, n.intsOf(list, shape...))
}

func extreme(wins func(a, b float64) bool) func(*node) {
	return func(n *node) {
		in, shape := n.aligned()
		best := in[0]
		for _, v := range in[1:] {
			if v.integer != best.integer {
				n.refuse("some inputs have whole numbers and others have not")
			}
			for i := range product(shape) {
				if !wins(v.number(i), best.number(i)) {
					continue
				}
				if v.integer {
					best.ints[i] = v.ints[i]
				} else {
					best.floats[i] = v.floats[i]
				}
			}
		}
		n.give(0, best)
	}
}

func round(f func(float64) float64) func(*node) {
	return func(n *node) {
		in, shape := n.aligned()
		if in[0].integer {
			n.refuse("numbers with a fraction are expected")
		}
		for i, v := range in[0].floats {
			in[0].floats[i] = float32(f(float64(v)))
		}
		n.give(0, n.floatsOf(in[0].floats, shape...))
	}
}

func reduceKnown(join func(a, b int64) int64) func(*node) {
	return func(n *node) {
		n.known()
		x := n.in[0]
		list, _ := n.listed("axes", 1)
		keep := n.int("keepdims", 1) != 0
		n.ignore("noop_with_empty_axes")
		if !x.integer || len(x.shape) > 1 || x.len() == 0 || n.flag("noop_with_empty_axes") && len(list) == 0 {
			n.refuse("a list of whole numbers is expected")
		}
		n.axes(list, len(x.shape))
		n.work(x.shape)
		total := x.ints[0]
		for _, v := range x.ints[1:] {
			total = join(total, v)
		}
		var shape []int
		if keep {
			shape = slices.Repeat([]int{1}, len(x.shape))
		}
		n.give(0, n.intsOf([]int64{total}, shape...))
	}
}

// where chooses element by element between known values, and as a whole between others.
func where(n *node) {
	condition, yes, no := n.in[0], n.in[1], n.in[2]
	if condition.known && !(n.c.opts.Training && condition.trained()) && (!yes.known || !no.known || n.c.opts.Training && (yes.trained() || no.trained())) {
		shape := n.together(yes, no)
		chosen := yes
		for i := range condition.len() {
			v := no
			if condition.number(i) != 0 {
				v = yes
			}
			if i == 0 {
				chosen = v
			} else if chosen != v {
				n.refuse("it chooses element by element")
			}
		}
		shape, ok := broadcast(shape, condition.shape)
		if !ok {
			n.refuse("the shapes of its inputs don't fit together")
		}
		n.give(0, n.expanded(chosen, shape))
		return
	}
	in, shape := n.aligned()
	if in[1].integer != in[2].integer {
		n.refuse("one choice has whole numbers and the other has not")
	}
	for i := range product(shape) {
		switch {
		case in[0].number(i) == 0:
		case in[2].integer:
			in[2].ints[i] = in[1].ints[i]
		default:
			in[2].floats[i] = in[1].floats[i]
		}
	}
	n.give(0, in[2])
}

func cast(n *node) {
	a, ok := n.attribute("to", onnx.IntKind)
	n.ignore("saturate", "round_mode") // of 8-bit floating point, which is refused
	if !ok {
		n.refuse("to is missing")
	}
	to := onnx.DataType(a.Int)
	if !to.IsFloat() && !to.IsInt() {
		n.refuse("it casts to type %d", a.Int)
	}
	n.castTo(to)
}

func castLike(n *node) {
	n.ignore("saturate", "round_mode")
	to := onnx.Float32
	if n.in[1].integer {
		to = onnx.Int64
	}
	n.castTo(to)
}

// castTo turns known values; others are float32 and stay so.
func (n *node) castTo(to onnx.DataType) {
	x := n.in[0]
	if to.IsFloat() != x.integer {
		if x.integer && to == onnx.Bool {
			n.truth(x)
			return
		}
		n.give(0, x)
		return
	}
	if !x.known || n.c.opts.Training && x.trained() && x.len() > peek {
		n.refuse("it makes whole numbers of values that are not known")
	}
	n.work(x.shape)
	if x.integer {
		list := make([]float32, len(x.ints))
		for i, v := range x.ints {
			list[i] = float32(v)
		}
		n.give(0, n.floatsOf(list, x.shape...))
		return
	}
	if to == onnx.Bool {
		n.truth(x)
		return
	}
	list := make([]int64, len(x.floats))
	for i, v := range x.floats {
		if !(v > -1<<62 && v < 1<<62) {
			n.refuse("%v is no whole number", v)
		}
		list[i] = int64(v)
	}
	n.give(0, n.intsOf(list, x.shape...))
}

func (n *node) truth(x *value) {
	n.work(x.shape)
	list := make([]int64, x.len())
	for i := range list {
		if x.number(i) != 0 {
			list[i] = 1
		}
	}
	n.give(0, n.intsOf(list, x.shape...))
}
