package program

import "slices"

func batchNorm(n *node) {
	x := n.in[0]
	if len(x.shape) < 2 {
		n.refuse("its input has the shape %v; a batch and channels are expected", x.shape)
	}
	for i, what := range []string{"scale", "bias", "mean", "variance"} {
		if v := n.in[i+1]; len(v.shape) != 1 || v.shape[0] != x.shape[1] {
			n.refuse("the %s has the shape %v, but the input has %d channels", what, v.shape, x.shape[1])
		}
	}
	n.ignore("spatial")
	// Whether to train is the caller's choice, but statistics that are computed from the very input are PyTorch's way to write a
	// normalisation that keeps none, such as that of weights.
	if batch := n.flag("training_mode"); batch && n.in[3].maker != nil && n.in[4].maker != nil && x.shape[0] == 1 && len(x.shape) > 2 {
		n.ignore("momentum")
		n.groups(x, x.shape[1], n.perChannel(x, "scale", 1), n.perChannel(x, "bias", 2))
		return
	}
	for _, statistic := range n.in[3:5] {
		switch {
		case statistic.role == Parameter && statistic.maker == nil:
			statistic.role = Statistic
		case n.c.opts.Training && statistic.role != Statistic:
			n.refuse("the mean and the variance must be initializers to be trained, and %s is none", quote(statistic.name))
		}
	}
	do := &BatchNorm{Epsilon: n.float("epsilon", 1e-5), Share: decimal(float32(1 - n.float("momentum", 0.9)))}
	n.give(0, n.emit(do, x.shape, n.in...))
}

func layerNorm(n *node) {
	x, scale, bias := n.in[0], n.in[1], n.input(2)
	axis := n.axis(int64(n.int("axis", -1)), len(x.shape))
	n.ignore("stash_type") // sums are float32
	for _, v := range []*value{scale, bias} {
		if v != nil && !slices.Equal(v.shape, x.shape[axis:]) {
			n.refuse("the scale or bias has the shape %v; the normalised axes are %v", v.shape, x.shape[axis:])
		}
	}
	n.give(0, n.emit(&LayerNorm{Axis: axis, Epsilon: n.float("epsilon", 1e-5)}, x.shape, x, scale, bias))
}

// instanceNorm normalises each channel of each sample over its spatial axes.
func instanceNorm(n *node) {
	x := n.in[0]
	n.spatial(x)
	n.groups(x, x.shape[1], n.perChannel(x, "scale", 1), n.perChannel(x, "bias", 2))
}

// groupNorm has scale and bias of each group in operator set 18, of each channel since 21.
func groupNorm(n *node) {
	x, groups := n.in[0], n.int("num_groups", 0)
	n.spatial(x)
	n.ignore("stash_type")
	if groups < 1 || x.shape[1]%groups != 0 {
		n.refuse("%d channels are not %d groups", x.shape[1], groups)
	}
	if n.c.version < 21 && groups != x.shape[1] {
		for i, v := range n.in[1:3] {
			if len(v.shape) != 1 || v.shape[0] != groups {
				n.refuse("input %d has the shape %v, but there are %d groups", i+1, v.shape, groups)
			}
			each := x.shape[1] / groups
			wide := n.part(&Expand{}, []int{groups, each}, n.part(&Reshape{}, []int{groups, 1}, v))
			n.in[i+1] = n.part(&Reshape{}, []int{x.shape[1]}, wide)
		}
	}
	n.groups(x, groups, n.perChannel(x, "scale", 1), n.perChannel(x, "bias", 2))
}

// perChannel gives an input of the shape [C] the axes that broadcast it over x.
func (n *node) perChannel(x *value, what string, i int) *value {
	v := n.in[i]
	if len(v.shape) != 1 || v.shape[0] != x.shape[1] {
		n.refuse("the %s has the shape %v, but the input has %d channels", what, v.shape, x.shape[1])
	}
	shape := slices.Repeat([]int{1}, len(x.shape)-1)
	shape[0] = x.shape[1]
	return n.part(&Reshape{}, shape, v)
}

// groups normalises groups of channels by a LayerNorm over a view with an axis for the groups.
func (n *node) groups(x *value, groups int, scale, bias *value) {
	rows := x.shape[0] * groups
	view := []int{rows, product(x.shape) / rows}
	ones := n.part(&Expand{}, view[1:], n.named(n.floatsOf([]float32{1}, 1)))
	y := n.part(&LayerNorm{Axis: 1, Epsilon: n.float("epsilon", 1e-5)}, view, n.part(&Reshape{}, view, x), ones)
	y = n.part(&Reshape{}, x.shape, y)
	if !scale.all(1) {
		y = n.part(&Binary{Mul}, x.shape, y, scale)
	}
	if !bias.all(0) {
		y = n.part(&Binary{Add}, x.shape, y, bias)
	}
	n.give(0, y)
}

// dropout is kept for training whatever mode the file was written in: the caller knows what he does.
func dropout(n *node) {
	x := n.in[0]
	ratio := n.scalar(1, "ratio", n.float("ratio", 0.5))
	n.ignore("seed", "is_test")
	if ratio < 0 || ratio >= 1 {
		n.refuse("its ratio is %v", ratio)
	}
	if !n.c.opts.Training || ratio == 0 {
		n.give(0, x)
		return
	}
	n.give(0, n.emit(&Dropout{Ratio: float32(ratio)}, x.shape, x))
}

func softmax(n *node) {
	x, rank := n.in[0], len(n.in[0].shape)
	otherwise := -1
	if n.c.version < 13 {
		otherwise = 1
	}
	if rank == 0 {
		n.refuse("its input is a scalar")
	}
	axis := n.axis(int64(n.int("axis", otherwise)), rank)
	if n.c.version >= 13 || axis == rank-1 {
		n.give(0, n.emit(&Softmax{Axis: axis}, x.shape, x))
		return
	}
	// Old versions take all axes from this one on as one.
	view := []int{product(x.shape[:axis]), product(x.shape[axis:])}
	y := n.part(&Softmax{Axis: 1}, view, n.part(&Reshape{}, view, x))
	n.give(0, n.emit(&Reshape{}, x.shape, y))
}

func globalAveragePool(n *node) {
	x := n.in[0]
	n.spatial(x)
	shape := slices.Clone(x.shape)
	var axes []int
	for i := 2; i < len(shape); i++ {
		shape[i], axes = 1, append(axes, i)
	}
	n.give(0, n.emit(&Mean{Axes: axes}, shape, x))
}

func reduceMean(n *node) {
	x := n.in[0]
	n.give(0, n.mean(x))
}

// reduceSum is a mean times the number of elements.
func reduceSum(n *node) { n.give(0, n.total(n.in[0])) }

// reduceL2 is the root of the sum of squares.
func reduceL2(n *node) {
	x := n.in[0]
	total := n.total(n.part(&Binary{Mul}, x.shape, x, x))
	n.give(0, n.emit(&Unary{Func: Sqrt}, total.shape, total))
}

func reduceSumSquare(n *node) {
	x := n.in[0]
	n.give(0, n.total(n.part(&Binary{Mul}, x.shape, x, x)))
}

// reduceMax is a pool whose window is all of the axes, brought to the end.
func reduceMax(n *node) {
	x := n.in[0]
	axes, keep := n.reducedAxes(x)
	if x.integer {
		n.refuse("the largest of whole numbers is not served")
	}
	if len(axes) == 0 || x.len() == 0 {
		n.give(0, x)
		return
	}
	kept, perm := 1, make([]int, 0, len(x.shape))
	for i, d := range x.shape {
		if !slices.Contains(axes, i) {
			kept *= d
			perm = append(perm, i)
		}
	}
	perm = append(perm, axes...)
	y := x
	if !slices.IsSorted(perm) {
		moved := make([]int, len(perm))
		for i, a := range perm {
			moved[i] = x.shape[a]
		}
		y = n.part(&Transpose{Perm: perm}, moved, y)
	}
	window := x.len() / kept
	y = n.part(&Reshape{}, []int{1, kept, window}, y)
	one, none := []int{1}, []int{0}
	y = n.part(&Pool{Max: true, Kernel: []int{window}, Strides: one, Dilations: one, PadBegin: none, PadEnd: none}, []int{1, kept, 1}, y)
	n.give(0, n.emit(&Reshape{}, reduced(x.shape, axes, keep), y))
}

func (n *node) total(x *value) *value {
	mean := n.mean(x)
	if mean == x || mean.integer {
		return mean
	}
	return n.part(&Binary{Mul}, mean.shape, mean, n.number(float64(x.len())/float64(mean.len())))
}

// mean is that of x over the node's axes.
func (n *node) mean(x *value) *value {
	axes, keep := n.reducedAxes(x)
	if len(axes) == 0 {
		return x
	}
	return n.part(&Mean{Axes: axes}, reduced(x.shape, axes, keep), x)
}

// reducedAxes returns the sorted axes of x that a node takes together, and whether they stay with length 1. There are none where the
// node has nothing to do.
func (n *node) reducedAxes(x *value) (axes []int, keep bool) {
	list, given := n.listed("axes", 1)
	keep = n.int("keepdims", 1) != 0
	if nothing := n.flag("noop_with_empty_axes"); nothing && len(list) == 0 {
		return nil, keep
	}
	axes = n.axes(list, len(x.shape))
	if !given || len(list) == 0 {
		axes = make([]int, len(x.shape))
		for i := range axes {
			axes[i] = i
		}
	}
	return axes, keep
}

// reduced is a shape with the lengths of axes 1, or without them. axes are sorted.
func reduced(shape, axes []int, keep bool) []int {
	out := make([]int, 0, len(shape))
	for i, d := range shape {
		_, gone := slices.BinarySearch(axes, i)
		switch {
		case !gone:
			out = append(out, d)
		case keep:
			out = append(out, 1)
		}
	}
	return out
}
