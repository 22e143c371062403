package program

import (
	"slices"

	"github.com/cspine/cspine/models/onnx"
)

// finish makes the program of what was compiled.
func (c *compiler) finish(m *onnx.Model) *Program {
	c.bindOutputs(m.Graph.Outputs)
	c.fuse()
	steps := c.live()
	if c.opts.Training {
		checkStatistics(steps)
	}

	p := &Program{}
	left := c.opts.MaxBytes
	add := func(v *value) int {
		if v.index == 0 {
			if left -= 4 * int64(v.len()); left < 0 {
				panic(refusal("its values take more than %d bytes of memory together", c.opts.MaxBytes))
			}
			out := Value{Name: v.name, Shape: v.shape, Role: v.role}
			if out.Shape == nil {
				out.Shape = []int{}
			}
			if v.maker == nil {
				out.Data = v.floats
			} else {
				out.Role = Computed
			}
			p.Values = append(p.Values, out)
			v.index = len(p.Values)
		}
		return v.index - 1
	}
	for _, v := range c.inputs {
		p.Inputs = append(p.Inputs, add(v))
	}
	for _, s := range steps {
		op := Op{Do: s.do, Node: s.node}
		for _, v := range s.in {
			if v == nil {
				op.In = append(op.In, -1)
			} else {
				op.In = append(op.In, add(v))
			}
		}
		for len(op.In) > 0 && op.In[len(op.In)-1] < 0 { // trailing gaps say nothing
			op.In = op.In[:len(op.In)-1]
		}
		for _, v := range s.out {
			op.Out = append(op.Out, add(v))
		}
		p.Ops = append(p.Ops, op)
	}
	for _, v := range c.outputs {
		p.Outputs = append(p.Outputs, add(v))
	}
	return p
}

// bindOutputs finds the values of the graph's outputs. Each becomes a computed value of its own with the output's name: what is an input, a
// constant or a second name of a value is copied.
func (c *compiler) bindOutputs(outputs []onnx.Value) {
	taken := map[*value]bool{}
	for _, out := range outputs {
		v := c.values[out.Name]
		if err := c.readOutput(v); err != nil {
			panic(err)
		}
		if v.integer {
			panic(portRefusal("output %s has whole numbers that don't depend on the inputs' values", quote(out.Name)))
		}
		if detail := badShape(v.shape); detail != "" {
			panic(portRefusal("output %s: %s", quote(out.Name), detail))
		}
		if v.maker == nil || taken[v] {
			v = c.step(&Reshape{}, v.shape, "output "+out.Name, v)
		}
		v.name = out.Name
		taken[v] = true
		c.outputs = append(c.outputs, v)
	}
}

// readOutput reads an initializer that is an output.
func (c *compiler) readOutput(v *value) *Error {
	if v.source == nil {
		return nil
	}
	return c.readInitializer(v)
}

// live returns the steps that outputs need, in their order.
func (c *compiler) live() []*step {
	needed := map[*step]bool{}
	for _, v := range c.outputs {
		needed[v.maker] = true
	}
	var kept []*step
	for _, s := range slices.Backward(c.steps) {
		if !needed[s] {
			continue
		}
		for _, v := range s.in {
			if v != nil && v.maker != nil {
				needed[v.maker] = true
			}
		}
		kept = append(kept, s)
	}
	slices.Reverse(kept)
	return kept
}

// checkStatistics refuses a running mean or variance that more than one normalisation would move, or that anything else reads.
func checkStatistics(steps []*step) {
	owner := map[*value]string{}
	for _, s := range steps {
		_, isNorm := s.do.(*BatchNorm)
		for i, v := range s.in {
			if v == nil || v.role != Statistic || v.maker != nil {
				continue
			}
			first, taken := owner[v]
			if !isNorm || i < 3 || taken {
				panic(&Error{Node: s.node, Op: name(s.do), Detail: "the statistic " + quote(v.name) + " is read in two places, here and in " + quote(first) +
					"; export the model in training mode, which gives each normalisation its own"})
			}
			owner[v] = s.node
		}
	}
}
