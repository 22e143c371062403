package program

import (
	"slices"
	"strings"

	"github.com/cspine/cspine/models/onnx"
)

// lstm serves what PyTorch exports: default activations, no peepholes, states that start at zero, sequences of one length.
func lstm(n *node) {
	x, w, r, bias := n.in[0], n.in[1], n.in[2], n.input(3)
	do := &LSTM{Hidden: n.int("hidden_size", 0)}
	directions := 1
	switch direction := n.text("direction", "forward"); direction {
	case "forward":
	case "reverse":
		do.Reverse = true
	case "bidirectional":
		do.Bidirectional, directions = true, 2
	default:
		n.refuse("its direction is %s", quote(direction))
	}
	if n.int("layout", 0) != 0 {
		n.refuse("its layout is 1; time must be the first axis (layout 0)")
	}
	if n.flag("input_forget") || n.float("clip", 0) != 0 {
		n.refuse("input_forget and clip are not served")
	}
	n.ignore("output_sequence") // of version 1
	n.activations(directions)

	if len(x.shape) != 3 {
		n.refuse("the input has the shape %v; time, batch and features are expected", x.shape)
	}
	steps, batch, features, hidden := x.shape[0], x.shape[1], x.shape[2], do.Hidden
	if hidden < 1 || hidden > maxElements/8 {
		n.refuse("hidden_size is %d", hidden)
	}
	for _, c := range []struct {
		what  string
		v     *value
		shape []int
	}{
		{"weight", w, []int{directions, 4 * hidden, features}},
		{"recurrent weight", r, []int{directions, 4 * hidden, hidden}},
		{"bias", bias, []int{directions, 8 * hidden}},
	} {
		if c.v != nil && !slices.Equal(c.v.shape, c.shape) {
			n.refuse("the %s has the shape %v; %v is expected", c.what, c.v.shape, c.shape)
		}
	}
	if lengths, ok := n.knownInts(4, "sequence_lens"); ok {
		if len(lengths) != batch {
			n.refuse("there are %d lengths of %d sequences", len(lengths), batch)
		}
		for _, l := range lengths {
			if l != int64(steps) {
				n.refuse("its sequences have different lengths")
			}
		}
	}
	n.zero(5, "initial_h")
	n.zero(6, "initial_c")
	if n.input(7) != nil {
		n.refuse("peepholes are not served")
	}

	y := n.emit(do, []int{steps, directions, batch, hidden}, x, w, r, bias)
	n.give(0, y)
	if y.name == "" {
		n.named(y)
	}
	if len(n.Outputs) > 1 && n.c.read[n.Outputs[1]] > 0 {
		n.give(1, n.lastStates(y, do))
	}
}

// activations accepts the default ones only.
func (n *node) activations(directions int) {
	a, ok := n.attribute("activations", onnx.StringsKind)
	want := slices.Repeat([]string{"sigmoid", "tanh", "tanh"}, directions)
	for i := range a.Strings {
		if len(a.Strings) != len(want) || strings.ToLower(a.Strings[i]) != want[i] {
			n.refuse("its activations are not Sigmoid, Tanh, Tanh")
		}
	}
	if ok && len(a.Strings) == 0 {
		n.refuse("its list of activations is empty")
	}
	n.ignore("activation_alpha", "activation_beta") // of activations that are refused
}

// zero refuses an initial state that isn't zero.
func (n *node) zero(i int, what string) {
	v := n.input(i)
	if v == nil {
		return
	}
	if v.maker != nil && !v.known { // a zero that was too large to be written out
		if _, wide := v.maker.do.(*Expand); wide {
			v = v.maker.in[0]
		}
	}
	if v.known && !n.c.spend(v.len()) {
		n.refuse("%s is too large to be looked through", what)
	}
	if !v.known || v.integer || slices.ContainsFunc(v.floats, func(x float32) bool { return x != 0 }) {
		n.refuse("%s must be zero", what)
	}
}

// lastStates takes the state after the last step of each direction from all states.
func (n *node) lastStates(y *value, do *LSTM) *value {
	steps, directions, batch, hidden := y.shape[0], y.shape[1], y.shape[2], y.shape[3]
	ends := make([]*value, directions)
	for d := range ends {
		at := steps - 1
		if do.Reverse || d == 1 {
			at = 0
		}
		part := n.part(&Slice{Start: []int{at, d, 0, 0}, Step: []int{1, 1, 1, 1}}, []int{1, 1, batch, hidden}, y)
		ends[d] = n.part(&Reshape{}, []int{1, batch, hidden}, part)
	}
	if directions == 1 {
		return ends[0]
	}
	return n.emit(&Concat{Axis: 0}, []int{2, batch, hidden}, ends...)
}
