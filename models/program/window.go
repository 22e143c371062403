package program

import "slices"

// window is a sliding window's reach on each spatial axis.
type window struct {
	kernel, strides, dilations, begin, end []int
	auto                                   string
}

// spatial returns the lengths of x's spatial axes and checks that there are one to three.
func (n *node) spatial(x *value) []int {
	if len(x.shape) < 3 || len(x.shape) > 5 {
		n.refuse("its input has the shape %v; a batch, channels and one to three spatial axes are expected", x.shape)
	}
	return x.shape[2:]
}

// window reads the attributes that convolutions and pools share. kernel is nil for a pool, which has it as an attribute.
func (n *node) window(axes int, kernel []int) window {
	w := window{
		strides:   n.perAxis("strides", axes, 1, 1),
		dilations: n.perAxis("dilations", axes, 1, 1),
		auto:      n.text("auto_pad", "NOTSET"),
		kernel:    kernel,
	}
	if kernel == nil && !n.has("kernel_shape") {
		n.refuse("kernel_shape is missing")
	}
	if shape := n.perAxis("kernel_shape", axes, 0, 1); kernel == nil {
		w.kernel = shape
	} else if n.has("kernel_shape") && !slices.Equal(shape, kernel) {
		n.refuse("kernel_shape is %v, but the weight's kernel is %v", shape, kernel)
	}
	pads := n.perAxis("pads", 2*axes, 0, 0)
	w.begin, w.end = pads[:axes:axes], pads[axes:]
	switch w.auto {
	case "NOTSET", "":
		w.auto = ""
	case "VALID", "SAME_UPPER", "SAME_LOWER":
		if slices.Max(pads) > 0 {
			n.refuse("it has pads and auto_pad %s", w.auto)
		}
	default:
		n.refuse("auto_pad is %s", quote(w.auto))
	}
	return w
}

// reach is how far the dilated kernel reaches on an axis.
func (w *window) reach(axis int) int { return w.dilations[axis]*(w.kernel[axis]-1) + 1 }

// slide returns the output's lengths, and sets the padding that auto_pad asks for.
func (n *node) slide(w *window, in []int, roundUp bool) []int {
	out := make([]int, len(in))
	for i, length := range in {
		reach, stride := w.reach(i), w.strides[i]
		if w.auto == "SAME_UPPER" || w.auto == "SAME_LOWER" {
			out[i] = (length + stride - 1) / stride
			total := max(0, (out[i]-1)*stride+reach-length)
			w.begin[i], w.end[i] = halves(total, w.auto == "SAME_UPPER")
			continue
		}
		padded := length + w.begin[i] + w.end[i]
		if padded < reach {
			n.refuse("the kernel reaches over %d of spatial axis %d, which has %d with padding", reach, i, padded)
		}
		out[i] = (padded-reach)/stride + 1
		// A window more where the last one would be cut, unless it starts in the padding at the end (PyTorch and
		// ONNX Runtime agree on this).
		if roundUp && w.auto == "" && (padded-reach)%stride != 0 && out[i]*stride < length+w.begin[i] {
			out[i]++
		}
	}
	return out
}

// halves splits a padding in two; the odd element goes to the end where upper.
func halves(total int, upper bool) (begin, end int) {
	if upper {
		return total / 2, total - total/2
	}
	return total - total/2, total / 2
}

// checkBias refuses a bias that isn't [channels].
func (n *node) checkBias(b *value, channels int) {
	if b != nil && (len(b.shape) != 1 || b.shape[0] != channels) {
		n.refuse("the bias has the shape %v, not [%d]", b.shape, channels)
	}
}

func conv(n *node) {
	x, w, bias := n.in[0], n.in[1], n.input(2)
	in := n.spatial(x)
	if len(w.shape) != len(x.shape) {
		n.refuse("the weight has the shape %v, the input %v: their ranks differ", w.shape, x.shape)
	}
	group := n.int("group", 1)
	if group < 1 || x.shape[1]%group != 0 || w.shape[0]%group != 0 || w.shape[1] != x.shape[1]/group {
		n.refuse("the input has the shape %v, the weight %v, and there are %d groups: the channels don't fit", x.shape, w.shape, group)
	}
	n.checkKernel(w)
	n.checkBias(bias, w.shape[0])
	win := n.window(len(in), w.shape[2:])
	out := n.slide(&win, in, false)
	n.give(0, n.emit(&Conv{win.strides, win.dilations, win.begin, win.end, group}, append([]int{x.shape[0], w.shape[0]}, out...), x, w, bias))
}

func (n *node) checkKernel(w *value) {
	if detail := badShape(w.shape); detail != "" {
		n.refuse("the weight: %s", detail)
	}
}

func convTranspose(n *node) {
	x, w, bias := n.in[0], n.in[1], n.input(2)
	in := n.spatial(x)
	if len(w.shape) != len(x.shape) {
		n.refuse("the weight has the shape %v, the input %v: their ranks differ", w.shape, x.shape)
	}
	group := n.int("group", 1)
	if group < 1 || group > maxElements || x.shape[1]%group != 0 || w.shape[0] != x.shape[1] {
		n.refuse("the input has the shape %v, the weight %v, and there are %d groups: the channels don't fit", x.shape, w.shape, group)
	}
	n.checkKernel(w)
	channels := w.shape[1] * group
	n.checkBias(bias, channels)
	win := n.window(len(in), w.shape[2:])
	extra := n.perAxis("output_padding", len(in), 0, 0)
	asked := n.perAxis("output_shape", len(in), 0, 1)
	out := make([]int, len(in))
	for i, length := range in {
		stride, reach := win.strides[i], win.reach(i)
		if extra[i] >= max(stride, win.dilations[i]) {
			n.refuse("output_padding %d of spatial axis %d must be smaller than the stride or the dilation", extra[i], i)
		}
		full := stride*(length-1) + extra[i] + reach
		want := asked[i]
		if want == 0 && (win.auto == "SAME_UPPER" || win.auto == "SAME_LOWER") {
			want = length * stride
		}
		if want > 0 {
			if n.has("pads") && win.auto == "" && win.begin[i]+win.end[i] > 0 {
				n.refuse("it has pads and output_shape")
			}
			win.begin[i], win.end[i] = halves(max(0, full-want), win.auto == "SAME_UPPER")
			if want > full+stride {
				n.refuse("output_shape asks for %d on spatial axis %d, which gives %d", want, i, full)
			}
			out[i] = want
			continue
		}
		if out[i] = full - win.begin[i] - win.end[i]; out[i] < 1 {
			n.refuse("the padding %d and %d leaves nothing of spatial axis %d, which gives %d", win.begin[i], win.end[i], i, full)
		}
	}
	n.give(0, n.emit(&ConvTranspose{win.strides, win.dilations, win.begin, win.end, group}, append([]int{x.shape[0], channels}, out...), x, w, bias))
}

func pool(largest bool) func(*node) {
	return func(n *node) {
		x := n.in[0]
		in := n.spatial(x)
		win := n.window(len(in), nil)
		n.ignore("storage_order") // of the indices, which are not served
		out := n.slide(&win, in, n.flag("ceil_mode"))
		countPad := !largest && n.flag("count_include_pad")
		for i := range in {
			if win.begin[i] >= win.reach(i) || win.end[i] >= win.reach(i) {
				n.refuse("the padding %d and %d of spatial axis %d is not smaller than the kernel's reach %d", win.begin[i], win.end[i], i, win.reach(i))
			}
		}
		n.give(0, n.emit(&Pool{largest, win.kernel, win.strides, win.dilations, win.begin, win.end, countPad}, append(slices.Clone(x.shape[:2]), out...), x))
	}
}

func globalMaxPool(n *node) {
	x := n.in[0]
	in := n.spatial(x)
	ones, zeros := slices.Repeat([]int{1}, len(in)), make([]int, len(in))
	n.give(0, n.emit(&Pool{Max: true, Kernel: slices.Clone(in), Strides: ones, Dilations: ones, PadBegin: zeros, PadEnd: zeros},
		append(slices.Clone(x.shape[:2]), ones...), x))
}
