package program

import (
	"math"
	"slices"
)

// identity of a weight is a weight of its own (onnx.Model.Untie says why).
func identity(n *node) {
	x := n.in[0]
	if x.known && x.maker == nil && x.trained() {
		x = &value{shape: x.shape, role: Parameter, known: true, floats: x.floats}
	}
	n.give(0, x)
}

// reshaped gives x another shape of as many elements.
func (n *node) reshaped(x *value, shape []int) {
	elements, ok := boundedProduct(shape)
	if !ok || elements != x.len() {
		n.refuse("the shape %v doesn't hold the elements of %v", shape, x.shape)
	}
	if slices.Equal(shape, x.shape) {
		n.give(0, x)
		return
	}
	n.give(0, n.emit(&Reshape{}, shape, x))
}

func reshape(n *node) {
	x := n.in[0]
	list, ok := n.listed("shape", 1)
	if !ok {
		n.refuse("the shape is left out")
	}
	allowZero := n.flag("allowzero")
	if len(list) > maxRank {
		n.refuse("the shape has %d axes; %d is the most", len(list), maxRank)
	}
	shape, open, rest := make([]int, len(list)), -1, 1
	for i, d := range list {
		switch {
		case d == -1 && open < 0:
			open = i
			continue
		case d == 0 && !allowZero:
			if i >= len(x.shape) {
				n.refuse("the shape %v copies axis %d of %v", list, i, x.shape)
			}
			d = int64(x.shape[i])
		case d < 0 || d > maxElements:
			n.refuse("the shape is %v", list)
		}
		shape[i] = int(d)
		if rest *= int(d); rest > maxElements {
			n.refuse("the shape is %v", list)
		}
	}
	if open >= 0 {
		if rest == 0 || x.len()%rest != 0 {
			n.refuse("the shape %v doesn't divide the elements of %v", list, x.shape)
		}
		shape[open] = x.len() / rest
	}
	n.reshaped(x, shape)
}

func flatten(n *node) {
	x := n.in[0]
	axis := int64(n.int("axis", 1))
	if axis != int64(len(x.shape)) {
		axis = int64(n.axis(axis, len(x.shape)))
	}
	n.reshaped(x, []int{product(x.shape[:axis]), product(x.shape[axis:])})
}

func squeeze(n *node) {
	x := n.in[0]
	list, given := n.listed("axes", 1)
	axes := n.axes(list, len(x.shape))
	shape := make([]int, 0, len(x.shape))
	for i, d := range x.shape {
		_, named := slices.BinarySearch(axes, i)
		switch {
		case !named && (given || d != 1):
			shape = append(shape, d)
		case d != 1:
			n.refuse("axis %d of %v is not of length 1", i, x.shape)
		}
	}
	n.reshaped(x, shape)
}

func unsqueeze(n *node) {
	x := n.in[0]
	list, ok := n.listed("axes", 1)
	rank := len(x.shape) + len(list)
	if !ok || rank > maxRank {
		n.refuse("it asks for %d axes; %d is the most", rank, maxRank)
	}
	axes := n.axes(list, rank)
	shape, next := make([]int, rank), 0
	for i := range shape {
		if _, added := slices.BinarySearch(axes, i); added {
			shape[i] = 1
			continue
		}
		shape[i] = x.shape[next]
		next++
	}
	n.reshaped(x, shape)
}

func transpose(n *node) {
	x := n.in[0]
	rank := len(x.shape)
	perm := make([]int, rank)
	if a, ok := n.Attribute("perm"); ok {
		n.ignore("perm")
		if len(a.Ints) != rank {
			n.refuse("perm is %v, the input's shape %v", a.Ints, x.shape)
		}
		n.axes(a.Ints, rank) // each once
		for i, axis := range a.Ints {
			perm[i] = n.axis(axis, rank)
		}
	} else {
		for i := range perm {
			perm[i] = rank - 1 - i
		}
	}
	n.give(0, n.permute(x, perm, false))
}

func (n *node) permute(x *value, perm []int, part bool) *value {
	shape := make([]int, len(perm))
	for i, axis := range perm {
		shape[i] = x.shape[axis]
	}
	if part {
		return n.part(&Transpose{Perm: perm}, shape, x)
	}
	return n.emit(&Transpose{Perm: perm}, shape, x)
}

func concat(n *node) {
	parts := make([]*value, 0, len(n.in))
	for i, v := range n.in {
		if v == nil {
			n.refuse("input %d is left out", i)
		}
		parts = append(parts, v)
	}
	first := parts[0]
	axis := n.axis(int64(n.int("axis", 1)), len(first.shape))
	shape := slices.Clone(first.shape)
	shape[axis] = 0
	for i, v := range parts {
		if len(v.shape) != len(shape) || !slices.Equal(v.shape[:axis], shape[:axis]) || !slices.Equal(v.shape[axis+1:], shape[axis+1:]) {
			n.refuse("inputs 0 and %d have the shapes %v and %v, which differ beside axis %d", i, first.shape, v.shape, axis)
		}
		if shape[axis] += v.shape[axis]; shape[axis] > maxElements {
			n.refuse("its result is longer than %d", maxElements)
		}
	}
	if len(parts) == 1 {
		n.give(0, first)
		return
	}
	n.give(0, n.emit(&Concat{Axis: axis}, shape, parts...))
}

func split(n *node) {
	x := n.in[0]
	axis := n.axis(int64(n.int("axis", 0)), len(x.shape))
	length, count := x.shape[axis], len(n.Outputs)
	list, given := n.listed("split", 1)
	if !given {
		if named := n.int("num_outputs", count); named != count {
			n.refuse("num_outputs is %d, but it has %d outputs", named, count)
		}
		each := (length + count - 1) / count // the last may be shorter
		for left := length; left > 0; left -= each {
			list = append(list, int64(min(each, left)))
		}
	}
	if len(list) != count {
		n.refuse("axis %d of %v is not split into %d parts by %v", axis, x.shape, count, list)
	}
	at := int64(0)
	for i, d := range list {
		if d < 0 || d > int64(length)-at {
			n.refuse("axis %d of %v is not split by %v", axis, x.shape, list)
		}
		if n.c.read[n.Outputs[i]] > 0 {
			shape, start := slices.Clone(x.shape), make([]int, len(x.shape))
			shape[axis], start[axis] = int(d), int(at)
			n.give(i, n.emit(&Slice{Start: start, Step: slices.Repeat([]int{1}, len(shape))}, shape, x))
		}
		at += d
	}
	if at != int64(length) {
		n.refuse("axis %d of %v is not used up by %v", axis, x.shape, list)
	}
}

func slice(n *node) {
	x := n.in[0]
	rank := len(x.shape)
	starts, ok1 := n.listed("starts", 1)
	ends, ok2 := n.listed("ends", 2)
	axes, given := n.listed("axes", 3)
	steps, stepped := n.knownInts(4, "steps")
	if !ok1 || !ok2 || len(starts) != len(ends) {
		n.refuse("starts and ends are %v and %v", starts, ends)
	}
	if !given {
		for i := range starts {
			axes = append(axes, int64(i))
		}
	}
	if len(axes) != len(starts) || stepped && len(steps) != len(starts) {
		n.refuse("starts, axes and steps are %v, %v and %v", starts, axes, steps)
	}
	n.axes(axes, rank) // each once
	do := &Slice{Start: make([]int, rank), Step: slices.Repeat([]int{1}, rank)}
	shape := slices.Clone(x.shape)
	for i, a := range axes {
		axis, step := n.axis(a, rank), int64(1)
		if stepped {
			step = steps[i]
		}
		if step == 0 || step > math.MaxInt32 || step < math.MinInt32 {
			n.refuse("the step is %d", step)
		}
		do.Start[axis], shape[axis] = span(starts[i], ends[i], step, int64(x.shape[axis]))
		do.Step[axis] = int(step)
	}
	if slices.Equal(shape, x.shape) && !slices.ContainsFunc(do.Step, func(s int) bool { return s < 0 }) {
		n.give(0, x)
		return
	}
	n.give(0, n.emit(do, shape, x))
}

// span returns where a slice of length elements starts and how many elements it has, by numpy's rules.
func span(start, end, step, length int64) (first, count int) {
	low, high := int64(0), length // where a start and an end may lie
	if step < 0 {
		low, high = -1, length-1
	}
	if start < 0 {
		start += length // can't overflow: start < 0 ≤ length
	}
	if end < 0 {
		end += length
	}
	start, end = min(max(start, max(low, 0)), high), min(max(end, low), high)
	if step > 0 && end > start {
		return int(start), int((end-start-1)/step + 1)
	}
	if step < 0 && end < start {
		return int(start), int((start-end-1)/-step + 1)
	}
	return 0, 0
}

// gather serves any indices on known values, and evenly spaced ones on others.
func gather(n *node) {
	x := n.in[0]
	list, _ := n.knownInts(1, "indices")
	indices := n.in[1]
	axis := n.axis(int64(n.int("axis", 0)), len(x.shape))
	length := int64(x.shape[axis])
	at := make([]int, len(list))
	for i, v := range list {
		if v < -length || v >= length {
			n.refuse("the index %d is not one of %d", v, length)
		}
		if v < 0 {
			v += length
		}
		at[i] = int(v)
	}
	shape := append(append(slices.Clone(x.shape[:axis]), indices.shape...), x.shape[axis+1:]...)
	if x.known && !(n.c.opts.Training && x.trained()) {
		elements, ok := boundedProduct(shape)
		if ok && len(shape) <= maxRank && n.c.spend(elements) {
			n.give(0, picked(x, axis, at, shape))
			return
		}
	}
	if len(at) == 0 {
		n.refuse("there are no indices")
	}
	step := 1
	if len(at) > 1 {
		step = at[1] - at[0]
	}
	for i, v := range at {
		if v != at[0]+i*step || step == 0 {
			n.refuse("the indices %v are not evenly spaced", at[:min(len(at), 8)])
		}
	}
	do := &Slice{Start: make([]int, len(x.shape)), Step: slices.Repeat([]int{1}, len(x.shape))}
	part := slices.Clone(x.shape)
	do.Start[axis], do.Step[axis], part[axis] = at[0], step, len(at)
	if slices.Equal(part, shape) {
		n.give(0, n.emit(do, part, x))
		return
	}
	n.reshaped(n.part(do, part, x), shape)
}

func pad(n *node) {
	x, rank := n.in[0], len(n.in[0].shape)
	list, ok := n.listed("pads", 1)
	mode := n.text("mode", "constant")
	fill := n.scalar(2, "the constant", n.float("value", 0))
	axes, given := n.knownInts(3, "axes")
	if !given {
		for i := range rank {
			axes = append(axes, int64(i))
		}
	}
	if !ok || len(list) != 2*len(axes) {
		n.refuse("pads are %v for %d axes", list, len(axes))
	}
	n.axes(axes, rank) // each once
	do := &Pad{Begin: make([]int, rank), End: make([]int, rank), Value: float32(fill)}
	cut := &Slice{Start: make([]int, rank), Step: slices.Repeat([]int{1}, rank)}
	inner, outer := slices.Clone(x.shape), slices.Clone(x.shape)
	for i, a := range axes {
		axis := n.axis(a, rank)
		begin, end := list[i], list[i+len(axes)]
		if max(begin, end) > maxElements || min(begin, end) < -int64(x.shape[axis]) {
			n.refuse("pads are %v for the shape %v", list, x.shape)
		}
		// A negative padding cuts.
		do.Begin[axis], do.End[axis] = int(max(begin, 0)), int(max(end, 0))
		cut.Start[axis] = int(max(-begin, 0))
		inner[axis] += int(min(begin, 0) + min(end, 0))
		outer[axis] = inner[axis] + do.Begin[axis] + do.End[axis]
	}
	if !slices.Equal(inner, x.shape) {
		x = n.part(cut, inner, x)
	}
	switch {
	case slices.Equal(outer, x.shape):
		n.give(0, x)
	case mode == "constant":
		n.give(0, n.emit(do, outer, x))
	case mode == "edge" || mode == "reflect":
		for axis := range rank {
			x = n.mirrored(x, axis, do.Begin[axis], do.End[axis], mode == "edge")
		}
		n.give(0, x)
	default:
		n.refuse("its mode is %s; constant, edge and reflect are served", quote(mode))
	}
}

// mirrored pads an axis with the elements next to each end in reverse order, or with the element at the end where edge.
func (n *node) mirrored(x *value, axis, begin, end int, edge bool) *value {
	if begin+end == 0 {
		return x
	}
	length := x.shape[axis]
	if !edge && max(begin, end) >= length {
		n.refuse("it reflects %d elements of axis %d, which has %d", max(begin, end), axis, length)
	}
	first, last := begin, length-2
	if edge {
		first, last = 0, length-1
	}
	strip := func(start, count int) *value {
		shape, do := slices.Clone(x.shape), &Slice{Start: make([]int, len(x.shape)), Step: slices.Repeat([]int{1}, len(x.shape))}
		do.Start[axis], shape[axis] = start, count
		if !edge {
			do.Step[axis] = -1
			return n.part(do, shape, x)
		}
		shape[axis] = 1
		y := n.part(do, shape, x)
		if count == 1 {
			return y
		}
		shape = slices.Clone(shape)
		shape[axis] = count
		return n.part(&Expand{}, shape, y)
	}
	var parts []*value
	if begin > 0 {
		parts = append(parts, strip(first, begin))
	}
	parts = append(parts, x)
	if end > 0 {
		parts = append(parts, strip(last, end))
	}
	shape := slices.Clone(x.shape)
	shape[axis] += begin + end
	return n.part(&Concat{Axis: axis}, shape, parts...)
}

func expand(n *node) {
	x := n.in[0]
	list, _ := n.knownInts(1, "shape")
	if len(list) > maxRank {
		n.refuse("the shape has %d axes; %d is the most", len(list), maxRank)
	}
	asked := n.whole("shape", list, 0)
	shape, ok := broadcast(x.shape, asked)
	if !ok {
		n.refuse("the shape %v doesn't expand to %v", x.shape, asked)
	}
	n.give(0, n.expanded(x, shape))
}

func (n *node) expanded(x *value, shape []int) *value {
	if slices.Equal(shape, x.shape) {
		return x
	}
	return n.emit(&Expand{}, shape, x)
}

// tile repeats by giving each repeated axis an axis before it, which is expanded.
func tile(n *node) {
	x := n.in[0]
	list, _ := n.knownInts(1, "repeats")
	if len(list) != len(x.shape) {
		n.refuse("repeats are %v for the shape %v", list, x.shape)
	}
	var narrow, wide, shape []int
	for i, r := range n.whole("repeats", list, 1) {
		d := x.shape[i]
		if r > 1 && d > 1 {
			narrow, wide = append(narrow, 1, d), append(wide, r, d)
		} else {
			narrow, wide = append(narrow, d), append(wide, d*r)
		}
		shape = append(shape, d*r)
	}
	if slices.Equal(shape, x.shape) {
		n.give(0, x)
		return
	}
	if slices.Equal(narrow, x.shape) {
		n.give(0, n.emit(&Expand{}, shape, x))
		return
	}
	y := n.part(&Expand{}, wide, n.part(&Reshape{}, narrow, x))
	n.reshaped(y, shape)
}

func depthToSpace(n *node) {
	x, block := n.in[0], n.int("blocksize", 0)
	if len(x.shape) != 4 || block < 1 || block > 1<<12 || x.shape[1]%(block*block) != 0 {
		n.refuse("the input has the shape %v, blocksize is %d", x.shape, block)
	}
	batch, channels, rows, columns := x.shape[0], x.shape[1]/(block*block), x.shape[2], x.shape[3]
	view, perm := []int{batch, block, block, channels, rows, columns}, []int{0, 3, 4, 1, 5, 2}
	switch mode := n.text("mode", "DCR"); mode {
	case "DCR":
	case "CRD":
		view, perm = []int{batch, channels, block, block, rows, columns}, []int{0, 1, 4, 2, 5, 3}
	default:
		n.refuse("its mode is %s", quote(mode))
	}
	y := n.permute(n.part(&Reshape{}, view, x), perm, true)
	n.reshaped(y, []int{batch, channels, rows * block, columns * block})
}
