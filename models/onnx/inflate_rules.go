package onnx

import "slices"

// maxInflated bounds the length of a kernel that is repeated, and so what a hostile file can make of itself.
const maxInflated = 64

// inflations says for each operator how a node of it is inflated, and what its output is then.
var inflations map[string]func(f *inflater, n *Node) (kind, error)

// growsVectors are the operators that can make an image of a vector.
var growsVectors = map[string]bool{"Unsqueeze": true, "Reshape": true}

func init() {
	inflations = map[string]func(*inflater, *Node) (kind, error){
		"Conv": (*inflater).conv, "ConvTranspose": (*inflater).convTranspose,
		"MaxPool": (*inflater).pool, "AveragePool": (*inflater).pool,
		"GlobalAveragePool": (*inflater).global, "GlobalMaxPool": (*inflater).global,
		"ReduceMean": (*inflater).reduce, "ReduceMax": (*inflater).reduce,
		"Resize": (*inflater).resize, "Upsample": (*inflater).resize, "Pad": (*inflater).pad,
		"Concat": (*inflater).alongChannels, "Split": (*inflater).alongChannels, "Softmax": (*inflater).alongChannels,
		"Slice": (*inflater).slice, "Flatten": (*inflater).flatten, "Reshape": (*inflater).reshape,
		"Squeeze": (*inflater).squeeze, "Unsqueeze": (*inflater).squeeze,
		"PRelu": (*inflater).elementwise, "Shape": (*inflater).shape,
	}
	for _, op := range []string{"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"} {
		inflations[op] = (*inflater).elementwise
	}
	for _, op := range []string{"Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish", "Softplus", "Softsign", "Mish", "Tanh",
		"Erf", "Exp", "Log", "Sqrt", "Reciprocal", "Neg", "Abs", "Clip", "Gelu", "ThresholdedRelu", "Identity", "Dropout", "Cast",
		"BatchNormalization", "InstanceNormalization"} {
		inflations[op] = (*inflater).alike
	}
}

// alike serves what treats every pixel alike, or every channel.
func (f *inflater) alike(n *Node) (kind, error) {
	if f.kindOf(n, 0) == other {
		return other, f.refuse(n, "its first input is no image")
	}
	return f.kindOf(n, 0), nil
}

func (f *inflater) conv(n *Node) (kind, error) {
	w, k, err := f.kernel(n)
	if err != nil {
		return other, err
	}
	if f.Undivided {
		f.put(n, 1, "inflated", repeated(w, k, 1))
	} else {
		f.put(n, 1, "inflated", repeated(w, k, float64(k)))
	}
	return f.window(n, k == 1)
}

// convTranspose divides by how many slices of the input each slice of the output reads.
func (f *inflater) convTranspose(n *Node) (kind, error) {
	w, k, err := f.kernel(n)
	if err != nil {
		return other, err
	}
	stride := int64(1)
	if a, ok := n.attribute("strides"); ok && len(a.Ints) == 2 {
		stride = a.Ints[1]
	}
	for _, name := range []string{"output_shape", "output_padding"} {
		if a, ok := n.attribute(name); ok && !all(a.Ints, len(a.Ints), 0) {
			return other, f.refuse(n, "it has the attribute %s", name)
		}
	}
	divisor := 1.0
	if !f.Undivided {
		if stride < 1 || k%stride != 0 {
			return other, f.refuse(n, "its kernel of %d is no multiple of its stride of %d, so that slices of the output would differ", k, stride)
		}
		divisor = float64(k / stride)
	}
	f.put(n, 1, "inflated_up", repeated(w, k, divisor))
	if a, ok := n.attribute("output_padding"); ok {
		n.set("output_padding", append(slices.Clone(a.Ints), 0))
	}
	return f.window(n, false)
}

// kernel returns a node's constant kernel and its length.
func (f *inflater) kernel(n *Node) (*Tensor, int64, error) {
	if f.kindOf(n, 0) == other || f.kindOf(n, 1) != other || f.kindOf(n, 2) != other {
		return nil, 0, f.refuse(n, "its weights are not constant, or its input is no image")
	}
	w := f.constant(at(n.Inputs, 1))
	if w == nil || len(w.Dims) != 4 || w.Type != Float32 {
		return nil, 0, f.refuse(n, "its weights are not constant float32 values of four dimensions")
	}
	if k := w.Dims[3]; w.Dims[2] != k || k < 1 || k > maxInflated {
		return nil, 0, f.refuse(n, "its kernel is %d by %d: only equal lengths up to %d can be repeated along a new axis", w.Dims[2], k, maxInflated)
	}
	if w.whole() != nil {
		return nil, 0, f.refuse(n, "its weights are damaged")
	}
	return w, w.Dims[3], nil
}

// repeated returns a kernel [M,C,k,k] as [M,C,k,k,k].
func repeated(w *Tensor, k int64, divisor float64) *Tensor {
	values, _ := w.Float32s()
	out := make([]float32, 0, int64(len(values))*k)
	for _, v := range values {
		v = float32(float64(v) / divisor)
		for range k {
			out = append(out, v)
		}
	}
	return newTensor("", out, append(slices.Clone(w.Dims), k)...)
}

// window extends the attributes of a window that moves.
func (f *inflater) window(n *Node, pixel bool) (kind, error) {
	for _, a := range slices.Clone(n.Attributes) {
		switch a.Name {
		case "kernel_shape", "strides", "dilations":
			if len(a.Ints) != 2 || a.Ints[0] != a.Ints[1] {
				return other, f.refuse(n, "%s is %v: slices are treated as columns are, so rows must be too", a.Name, a.Ints)
			}
			n.set(a.Name, []int64{a.Ints[0], a.Ints[0], a.Ints[0]})
		case "pads":
			if len(a.Ints) != 4 || a.Ints[0] != a.Ints[1] || a.Ints[2] != a.Ints[3] {
				return other, f.refuse(n, "pads are %v: slices are treated as columns are, so rows must be too", a.Ints)
			}
			b, e := a.Ints[0], a.Ints[2]
			n.set("pads", []int64{b, b, b, e, e, e})
		}
	}
	if pixel && f.kindOf(n, 0) == pooled {
		return pooled, nil
	}
	return image, nil
}

func (f *inflater) pool(n *Node) (kind, error) {
	if order, _ := n.attribute("storage_order"); order.Int != 0 || len(n.Outputs) != 1 {
		return other, f.refuse(n, "it returns indices")
	}
	return f.window(n, false)
}

func (f *inflater) global(*Node) (kind, error) { return pooled, nil }

// integers returns a constant list of whole numbers, computed by nodes or not.
func (f *inflater) integers(name string) (values []int64, ok bool) {
	if t := f.constant(name); t != nil {
		return t.Int64s()
	}
	if f.Evaluate == nil || name == "" {
		return nil, false
	}
	return f.Evaluate(name)
}

// axes returns a node's list of axes, an attribute or a constant input, and how to replace it. ok is false where there is none, or it is not
// constant.
func (f *inflater) axes(n *Node, input int) (axes []int64, replace func([]int64), ok bool) {
	if a, is := n.attribute("axes"); is {
		return a.Ints, func(v []int64) { n.set("axes", v) }, true
	}
	axes, ok = f.integers(at(n.Inputs, input))
	return axes, func(v []int64) { f.put(n, input, "inflated", newInts(v)) }, ok
}

// places counts negative axes of an image from the front, and sorts.
func places(axes []int64) []int64 {
	out := slices.Clone(axes)
	for i, a := range out {
		if a < 0 {
			out[i] = a + 4
		}
	}
	slices.Sort(out)
	return out
}

func (f *inflater) reduce(n *Node) (kind, error) {
	keep, ok := n.attribute("keepdims")
	keeps := !ok || keep.Int != 0
	axes, replace, ok := f.axes(n, 1)
	if !ok {
		return other, f.refuse(n, "its axes are not constant")
	}
	switch at := places(axes); {
	case slices.Equal(at, []int64{2, 3}):
		replace([]int64{2, 3, 4})
		if keeps {
			return pooled, nil
		}
		return other, nil
	case slices.Equal(at, []int64{1}) && keeps:
		replace([]int64{1})
		return f.kindOf(n, 0), nil
	}
	return other, f.refuse(n, "it reduces the axes %v", axes)
}

// squeeze serves Squeeze and Unsqueeze.
func (f *inflater) squeeze(n *Node) (kind, error) {
	axes, replace, ok := f.axes(n, 1)
	from, to := f.kindOf(n, 0), other
	if n.Op == "Unsqueeze" {
		if from != other {
			return other, f.refuse(n, "it adds an axis to an image")
		}
		to = pooled
		if !ok || !slices.Equal(places(axes), []int64{2, 3}) {
			return other, nil // whatever it is, it makes no image
		}
	} else if from != pooled || !ok || !slices.Equal(places(axes), []int64{2, 3}) {
		return other, f.refuse(n, "it takes away the axes %v, of an image with more than a pixel or not both of rows and columns", axes)
	}
	replace([]int64{2, 3, 4})
	return to, nil
}

// shape leaves arithmetic with shapes alone. What a rule reads of it is evaluated and becomes constant; nothing else may read it.
func (f *inflater) shape(n *Node) (kind, error) {
	if f.Evaluate == nil || f.outputs[n.Outputs[0]] {
		return other, f.refuse(n, "what is computed from it would change")
	}
	return other, nil
}

func (f *inflater) flatten(n *Node) (kind, error) {
	if axis, ok := n.attribute("axis"); f.kindOf(n, 0) != pooled || ok && axis.Int != 1 {
		return other, f.refuse(n, "it flattens an image with more than a pixel: the weights behind would not fit a volume")
	}
	return other, nil
}

func (f *inflater) reshape(n *Node) (kind, error) {
	shape, ok := f.integers(at(n.Inputs, 1))
	if !ok {
		if f.kindOf(n, 0) == other {
			return other, nil
		}
		return other, f.refuse(n, "its shape is not constant")
	}
	one := len(shape) == 4 && shape[2] == 1 && shape[3] == 1
	switch from := f.kindOf(n, 0); {
	case from == pooled && len(shape) == 2:
		f.put(n, 1, "inflated", newInts(shape))
		return other, nil
	case one && from != image:
		f.put(n, 1, "inflated", newInts(append(slices.Clone(shape), 1)))
		return pooled, nil
	case from == other:
		return other, nil
	}
	return other, f.refuse(n, "it gives an image the shape %v", shape)
}

func (f *inflater) resize(n *Node) (kind, error) {
	if f.kindOf(n, 0) == other {
		return other, f.refuse(n, "its first input is no image")
	}
	if a, ok := n.attribute("mode"); ok && a.String == "cubic" {
		return other, f.refuse(n, "cubic interpolation is for images only")
	}
	if _, ok := n.attribute("axes"); ok {
		return other, f.refuse(n, "it has axes")
	}
	input := 2 // of Resize; ONNX's version 10 of it had no regions, and Upsample has none
	if len(n.Inputs) == 2 {
		input = 1
	}
	if at(n.Inputs, 3) != "" {
		return other, f.refuse(n, "it has an absolute size; export it with a scale")
	}
	var scales []float32
	if a, ok := n.attribute("scales"); ok { // Upsample before version 9
		scales = a.Floats
	} else if t := f.constant(at(n.Inputs, input)); t != nil {
		scales, _ = t.Float32s()
	}
	if len(scales) != 4 || scales[0] != 1 || scales[1] != 1 || scales[2] != scales[3] {
		return other, f.refuse(n, "its scales are not constant, or rows' and columns' differ: %v", scales)
	}
	if len(n.Inputs) < 2 {
		return other, f.refuse(n, "its scales are an attribute; export the model with a later opset")
	}
	f.put(n, input, "inflated", newTensor("", append(slices.Clone(scales), scales[3]), 5))
	return image, nil
}

func (f *inflater) pad(n *Node) (kind, error) {
	var pads []int64
	replace := func(v []int64) { n.set("pads", v) }
	if a, ok := n.attribute("pads"); ok {
		pads = a.Ints
	} else {
		pads, _ = f.integers(at(n.Inputs, 1))
		replace = func(v []int64) { f.put(n, 1, "inflated", newInts(v)) }
	}
	if at(n.Inputs, 3) != "" || len(pads) != 8 || pads[2] != pads[3] || pads[6] != pads[7] {
		return other, f.refuse(n, "its pads are not constant, or rows' and columns' differ: %v", pads)
	}
	replace(slices.Concat(pads[:4], pads[3:4], pads[4:], pads[7:]))
	return image, nil
}

// alongChannels serves what works along one axis, which must not be rows or columns.
func (f *inflater) alongChannels(n *Node) (kind, error) {
	axis, ok := n.attribute("axis")
	if n.Op == "Softmax" {
		if f.opset < 13 {
			return other, f.refuse(n, "before opset 13 it worked along all axes from one on")
		}
		if !ok {
			axis.Int = -1
		}
	}
	if axis.Int < 0 {
		axis.Int += 4
	}
	if axis.Int > 1 {
		return other, f.refuse(n, "it works along rows or columns")
	}
	k := pooled
	for i := range n.Inputs {
		switch f.kindOf(n, i) {
		case image:
			k = image
		case other:
			if n.Op == "Concat" {
				return other, f.refuse(n, "it joins an image and something else")
			}
		}
	}
	n.raw, n.Attributes = nil, slices.Clone(n.Attributes)
	n.Attributes = slices.DeleteFunc(n.Attributes, func(a Attribute) bool { return a.Name == "axis" })
	n.Attributes = append(n.Attributes, IntAttribute("axis", axis.Int))
	return k, nil
}

func (f *inflater) slice(n *Node) (kind, error) {
	axes, replace, ok := f.axes(n, 3)
	if !ok {
		return other, f.refuse(n, "its axes are not constant")
	}
	at := places(axes)
	if len(at) != 1 || at[0] > 1 {
		return other, f.refuse(n, "it cuts rows or columns")
	}
	replace(at)
	return f.kindOf(n, 0), nil
}

// elementwise serves functions of two values with broadcasting: an image and an image, or an image and a constant that is the same for
// all of its pixels.
func (f *inflater) elementwise(n *Node) (kind, error) {
	k := pooled
	for i, name := range n.Inputs {
		switch f.kindOf(n, i) {
		case image:
			k = image
			continue
		case pooled:
			continue
		}
		t := f.constant(name)
		if t == nil {
			return other, f.refuse(n, "it joins an image and %q, which is neither an image nor constant", name)
		}
		if t.Elements() == 1 && len(t.Dims) <= 4 {
			continue // one value for all
		}
		rank := len(t.Dims)
		if rank < 3 || rank > 4 || t.Dims[rank-1] != 1 || t.Dims[rank-2] != 1 {
			return other, f.refuse(n, "the constant %q of the dimensions %v differs between rows or columns", name, t.Dims)
		}
		values, ok := t.Float32s()
		if !ok {
			return other, f.refuse(n, "the constant %q is not float32", name)
		}
		f.put(n, i, "inflated", newTensor("", values, append(slices.Clone(t.Dims), 1)...))
	}
	return k, nil
}
