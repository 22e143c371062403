package program

import (
	"math"
	"slices"

	"github.com/cspine/cspine/models/onnx"
)

// sampling is how a Resize finds an input coordinate for an output one.
type sampling struct {
	coordinates string // coordinate_transformation_mode
	rounding    string // nearest_mode
}

// resize serves Resize and its predecessor Upsample. Axes that shrink by picking every k-th element become a Slice.
func resize(n *node) {
	x, rank := n.in[0], len(n.in[0].shape)
	scales, out := n.targets(x)
	how := sampling{n.text("coordinate_transformation_mode", "half_pixel"), n.text("nearest_mode", "round_prefer_floor")}
	if n.Op == "Upsample" || n.c.version < 11 {
		how = sampling{"asymmetric", "floor"}
	}
	mode := n.text("mode", "nearest")
	n.ignore("cubic_coeff_a", "exclude_outside", "extrapolation_value") // of modes that are refused
	shrinks := slices.ContainsFunc(scales, func(s float64) bool { return s < 1 })
	if n.flag("antialias") && shrinks && mode != "nearest" {
		n.refuse("it shrinks with antialias")
	}
	if policy := n.text("keep_aspect_ratio_policy", "stretch"); policy != "stretch" {
		n.refuse("keep_aspect_ratio_policy is %s", quote(policy))
	}
	if how.coordinates == "tf_crop_and_resize" || how.coordinates == "tf_half_pixel_for_nn" {
		n.refuse("coordinate_transformation_mode is %s", how.coordinates)
	}
	same := func(axis int) bool { return scales[axis] == 1 && out[axis] == x.shape[axis] }
	for axis := range min(2, rank) {
		if !same(axis) {
			n.refuse("it resizes axis %d; only spatial axes are served", axis)
		}
	}
	moved := false
	for axis := range rank {
		moved = moved || !same(axis)
	}
	if !moved {
		n.give(0, x)
		return
	}
	n.spatial(x)
	switch mode {
	case "nearest":
		n.nearest(x, scales, out, how)
	case "linear":
		n.linear(x, scales, out, how)
	default:
		n.refuse("its mode is %s; nearest and linear are served", quote(mode))
	}
}

// targets returns the scale and the output length of every axis.
func (n *node) targets(x *value) (scales []float64, out []int) {
	rank := len(x.shape)
	scales, out = slices.Repeat([]float64{1}, rank), slices.Clone(x.shape)
	axes := make([]int, rank)
	for i := range axes {
		axes[i] = i
	}
	if a, ok := n.attribute("axes", onnx.IntsKind); ok {
		n.axes(a.Ints, rank) // each once
		axes = axes[:0]
		for _, axis := range a.Ints {
			axes = append(axes, n.axis(axis, rank))
		}
	}
	var list *value
	if a, ok := n.attribute("scales", onnx.FloatsKind); ok { // Upsample 7
		list = n.floatsOf(a.Floats, len(a.Floats))
	} else if n.Op == "Upsample" || n.c.version < 11 {
		list = n.input(1)
	} else {
		list = n.input(2)
	}
	if sizes := n.input(3); sizes != nil && (list == nil || list.known && list.len() == 0) {
		asked, _ := n.knownInts(3, "sizes")
		if len(asked) != len(axes) {
			n.refuse("there are sizes for %d axes, not %d", len(asked), len(axes))
		}
		for i, d := range n.whole("sizes", asked, 1) {
			out[axes[i]] = d
			scales[axes[i]] = float64(d) / float64(x.shape[axes[i]])
		}
		return scales, out
	}
	if list == nil || !list.known || list.integer || list.len() != len(axes) {
		n.refuse("the scales must be a number for each of %d axes, and not depend on the model's inputs", len(axes))
	}
	for i, axis := range axes {
		s := list.number(i)
		length := math.Floor(float64(x.shape[axis]) * float64(list.floats[i]))
		if !(s > 0 && length >= 1 && length <= maxElements) {
			n.refuse("the scale of axis %d, which has %d, is %v", axis, x.shape[axis], s)
		}
		scales[axis], out[axis] = s, int(length)
	}
	return scales, out
}

// coordinate returns where output position o lies in the input.
func (s sampling) coordinate(n *node, o, in, out int, scale float64) float64 {
	switch s.coordinates {
	case "asymmetric":
		return float64(o) / scale
	case "half_pixel":
		return (float64(o)+0.5)/scale - 0.5
	case "pytorch_half_pixel":
		if out == 1 {
			return 0
		}
		return (float64(o)+0.5)/scale - 0.5
	case "half_pixel_symmetric":
		adjust := float64(out) / (scale * float64(in))
		return float64(in)/2*(1-adjust) + (float64(o)+0.5)/scale - 0.5
	case "align_corners":
		if out == 1 {
			return 0
		}
		return float64(o) * float64(in-1) / float64(out-1)
	}
	n.refuse("coordinate_transformation_mode is %s", quote(s.coordinates))
	return 0
}

func (s sampling) nearest(n *node, x float64) int {
	switch s.rounding {
	case "floor":
		return int(math.Floor(x))
	case "ceil":
		return int(math.Ceil(x))
	case "round_prefer_floor":
		return int(math.Ceil(x - 0.5))
	case "round_prefer_ceil":
		return int(math.Floor(x + 0.5))
	}
	n.refuse("nearest_mode is %s", quote(s.rounding))
	return 0
}

// mostMapped bounds the axes whose elements are looked at one by one.
const mostMapped = 1 << 14

// nearest finds what the many ways to say "nearest" come to: each element k times, or every k-th.
func (n *node) nearest(x *value, scales []float64, out []int, how sampling) {
	cut := &Slice{Start: make([]int, len(out)), Step: slices.Repeat([]int{1}, len(out))}
	grow := &Resize{Scales: slices.Repeat([]float64{1}, len(out)-2)}
	kept, cuts, grows := slices.Clone(x.shape), false, false
	for axis := 2; axis < len(out); axis++ {
		in, length := x.shape[axis], out[axis]
		if in == length && scales[axis] == 1 {
			continue
		}
		if length > mostMapped {
			n.refuse("spatial axis %d would have %d elements; %d is the most", axis-2, length, mostMapped)
		}
		from := make([]int, length)
		for o := range from {
			from[o] = min(max(how.nearest(n, how.coordinate(n, o, in, length, scales[axis])), 0), in-1)
		}
		if times := length / in; length%in == 0 && even(from, func(o int) int { return o / times }) {
			grows = grows || times > 1
			grow.Scales[axis-2] = float64(times)
			continue
		}
		step := 1
		if length > 1 {
			step = from[1] - from[0]
		}
		if step < 1 || !even(from, func(o int) int { return from[0] + o*step }) {
			n.refuse("it resizes spatial axis %d from %d to %d, which repeats no element equally often; whole factors are served", axis-2, in, length)
		}
		cut.Start[axis], cut.Step[axis], kept[axis], cuts = from[0], step, length, true
	}
	switch {
	case cuts && grows:
		x = n.part(cut, kept, x)
	case cuts:
		n.give(0, n.emit(cut, kept, x))
		return
	case !grows:
		n.give(0, x)
		return
	}
	n.give(0, n.emit(grow, out, x))
}

// even tells whether from[o] is want(o) everywhere.
func even(from []int, want func(o int) int) bool {
	for o, at := range from {
		if at != want(o) {
			return false
		}
	}
	return true
}

func (n *node) linear(x *value, scales []float64, out []int, how sampling) {
	do := &Resize{Linear: true, Scales: slices.Clone(scales[2:])}
	first := &Slice{Start: make([]int, len(out)), Step: slices.Repeat([]int{1}, len(out))}
	kept := slices.Clone(x.shape)
	switch how.coordinates {
	case "align_corners":
		do.AlignCorners = true
	case "half_pixel":
	case "pytorch_half_pixel": // a single output takes the first input
		for axis := 2; axis < len(out); axis++ {
			if out[axis] == 1 {
				kept[axis], do.Scales[axis-2] = 1, 1
			}
		}
	case "half_pixel_symmetric":
		for axis := 2; axis < len(out); axis++ {
			if float64(out[axis]) != scales[axis]*float64(x.shape[axis]) {
				n.refuse("it resizes spatial axis %d by half_pixel_symmetric and %v, which is no whole length", axis-2, scales[axis])
			}
		}
	default:
		n.refuse("coordinate_transformation_mode is %s; half_pixel and align_corners are served for linear", quote(how.coordinates))
	}
	if !slices.Equal(kept, x.shape) {
		if slices.Equal(kept, out) {
			n.give(0, n.emit(first, kept, x))
			return
		}
		x = n.part(first, kept, x)
	}
	n.give(0, n.emit(do, out, x))
}
