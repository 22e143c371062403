package onnx

import "fmt"

// conv3 is a convolution with 3x3x3 kernels that keeps the size.
type conv3 struct {
	node    *Node
	weights []float32 // [out, in, 3, 3, 3]
	bias    []float32 // [out]
	out, in int64
}

// conv3 recognises one in a Conv. Only for three spatial dimensions was it measured to be worth it.
func (l *lookup) conv3(n *Node) (c conv3, ok bool) {
	w := l.constant(at(n.Inputs, 1))
	if w == nil || len(w.Dims) != 5 || w.Dims[2] != 3 || w.Dims[3] != 3 || w.Dims[4] != 3 || w.Dims[0] == 0 || w.Dims[1] == 0 {
		return c, false
	}
	if _, padded := n.attribute("pads"); !padded {
		return c, false
	}
	for _, a := range n.Attributes {
		switch a.Name {
		case "kernel_shape": // as the weights say
			ok = true
		case "strides", "dilations":
			ok = all(a.Ints, 3, 1)
		case "pads":
			ok = all(a.Ints, 6, 1)
		case "group":
			ok = a.Int == 1
		case "auto_pad":
			ok = a.String == "NOTSET"
		default:
			ok = false
		}
		if !ok {
			return c, false
		}
	}
	c = conv3{node: n, out: w.Dims[0], in: w.Dims[1]}
	if c.weights, ok = w.Float32s(); !ok {
		return c, false
	}
	c.bias, ok = l.bias(n, c.out)
	return c, ok
}

func all(values []int64, n int, want int64) bool {
	for _, v := range values {
		if v != want {
			return false
		}
	}
	return len(values) == n
}

// doubles tells whether n repeats every voxel twice along each of three axes.
func (l *lookup) doubles(n *Node) bool {
	if !is(n, "Resize") || len(n.Inputs) < 3 || at(n.Inputs, 3) != "" {
		return false
	}
	text := map[string]string{"mode": "nearest", "coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_floor"}
	for _, a := range n.Attributes {
		if _, known := text[a.Name]; known {
			text[a.Name] = a.String
		} else if a.Name != "cubic_coeff_a" && a.Name != "extrapolation_value" && a.Name != "exclude_outside" && a.Name != "antialias" {
			return false // axes, keep_aspect_ratio_policy
		}
	}
	if text["mode"] != "nearest" {
		return false
	}
	switch text["coordinate_transformation_mode"] + " " + text["nearest_mode"] {
	case "asymmetric floor":
	case "half_pixel round_prefer_floor", "half_pixel round_prefer_ceil": // …¼ and …¾ are never halves
	default:
		return false
	}
	t := l.constant(n.Inputs[2])
	if t == nil {
		return false
	}
	s, ok := t.Float32s()
	return ok && len(s) == 5 && s[0] == 1 && s[1] == 1 && s[2] == 2 && s[3] == 2 && s[4] == 2
}

// upsampled returns the ConvTranspose that equals doubling from and convolving with c. A nil bias is none.
func (c *conv3) upsampled(g *Graph, name, from, to string, bias []float32) []*Node {
	// Along one axis out[t] = Σ_d w[d]·x[⌊(t+d−1)/2⌋], and ConvTranspose says out[t] = Σ_i x[i]·k[t−2i+1]:
	// with t+d−1 = 2i+a, a ∈ {0,1}, tap d adds to k[a−d+2].
	k := make([]float64, c.in*c.out*64)
	for o := range c.out {
		for i := range c.in {
			w, to := c.weights[(o*c.in+i)*27:], k[(i*c.out+o)*64:]
			for tap := range 27 {
				z, y, x := tap/9, tap/3%3, tap%3
				for a := range 8 {
					to[((a>>2-z+2)*4+(a>>1&1-y+2))*4+(a&1-x+2)] += float64(w[tap])
				}
			}
		}
	}
	rounded := make([]float32, len(k))
	for i, v := range k {
		rounded[i] = float32(v)
	}
	n := &Node{Op: "ConvTranspose", Name: name + "/up", Inputs: []string{from, name + "/up/w"}, Outputs: []string{to},
		Attributes: []Attribute{ints("kernel_shape", 3, 4), ints("strides", 3, 2), ints("pads", 6, 1)}}
	g.Initializers = append(g.Initializers, newTensor(name+"/up/w", rounded, c.in, c.out, 4, 4, 4))
	return []*Node{n.withBias(g, bias)}
}

func (n *Node) withBias(g *Graph, bias []float32) *Node {
	if bias != nil {
		t := newTensor(n.Name+"/b", bias, int64(len(bias)))
		g.Initializers = append(g.Initializers, t)
		n.Inputs = append(n.Inputs, t.Name)
	}
	return n
}

// split returns the sum of one convolution for each doubled part of the Concat before c and one for all
// other parts together; nil where no part is doubled or the parts' channels can't be told.
func (c *conv3) split(g *Graph, l *lookup, name string, concat *Node) []*Node {
	if axis, _ := concat.attribute("axis"); axis.Int != 1 && axis.Int != -4 {
		return nil
	}
	from := make([]int64, len(concat.Inputs)+1) // part i reads the channels from[i]:from[i+1]
	doubled := false
	for i, in := range concat.Inputs {
		n := l.channels(in)
		if n == 0 {
			return nil
		}
		from[i+1] = from[i] + n
		doubled = doubled || l.doubles(l.makers[in])
	}
	if !doubled || from[len(concat.Inputs)] != c.in {
		return nil
	}
	var made []*Node
	var terms, plain []string
	rest := conv3{out: c.out}
	bias := c.bias
	for i, in := range concat.Inputs {
		if !l.doubles(l.makers[in]) {
			plain = append(plain, in)
			rest.in += from[i+1] - from[i]
			continue
		}
		term := fmt.Sprintf("%s/%d", name, i)
		part := conv3{out: c.out, in: from[i+1] - from[i]}
		part.weights = c.slice(func(channel int64) bool { return channel >= from[i] && channel < from[i+1] })
		made = append(made, part.upsampled(g, term, l.makers[in].Inputs[0], term, bias)...)
		terms, bias = append(terms, term), nil
	}
	if len(plain) > 0 {
		isPlain := func(channel int64) bool {
			for i, in := range concat.Inputs {
				if channel >= from[i] && channel < from[i+1] {
					return !l.doubles(l.makers[in])
				}
			}
			return false
		}
		rest.weights = c.slice(isPlain)
		made = append(made, rest.plain(g, name+"/rest", plain)...)
		terms = append(terms, name+"/rest")
	}
	return append(made, sum(name, terms, c.node.Outputs[0])...)
}

// slice returns the weights of the input channels that keep chooses.
func (c *conv3) slice(keep func(channel int64) bool) []float32 {
	var out []float32
	for o := range c.out {
		for i := range c.in {
			if keep(i) {
				out = append(out, c.weights[(o*c.in+i)*27:][:27]...)
			}
		}
	}
	return out
}

// plain returns a convolution with c, without bias, of the inputs put together.
func (c *conv3) plain(g *Graph, name string, inputs []string) []*Node {
	var made []*Node
	if len(inputs) > 1 {
		axis := Attribute{Name: "axis", Int: 1}
		made = append(made, &Node{Op: "Concat", Name: name + "/concat", Inputs: inputs, Outputs: []string{name + "/concat"}, Attributes: []Attribute{axis}})
		inputs = []string{name + "/concat"}
	}
	g.Initializers = append(g.Initializers, newTensor(name+"/w", c.weights, c.out, c.in, 3, 3, 3))
	return append(made, &Node{Op: "Conv", Name: name, Inputs: []string{inputs[0], name + "/w"}, Outputs: []string{name},
		Attributes: []Attribute{ints("kernel_shape", 3, 3), ints("strides", 3, 1), ints("pads", 6, 1)}})
}

// sum adds the terms up, left to right, into the value out.
func sum(name string, terms []string, out string) []*Node {
	if len(terms) == 1 {
		return []*Node{{Op: "Identity", Name: name + "/sum", Inputs: terms, Outputs: []string{out}}}
	}
	var made []*Node
	so := terms[0]
	for i, term := range terms[1:] {
		to := fmt.Sprintf("%s/sum%d", name, i)
		if i == len(terms)-2 {
			to = out
		}
		made = append(made, &Node{Op: "Add", Name: fmt.Sprintf("%s/sum%d", name, i), Inputs: []string{so, term}, Outputs: []string{to}})
		so = to
	}
	return made
}
