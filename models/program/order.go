package program

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/cspine/cspine/models/onnx"
)

// order returns the nodes that outputs need, each after what it reads, and in the file's order where that has this property. It
// refuses names that are given twice or by nobody, and cycles.
func (c *compiler) order(g *onnx.Graph) []*onnx.Node {
	const given = -1 // by an input or an initializer
	maker := make(map[string]int, len(g.Nodes))
	claim := func(name string, by int) {
		if _, twice := maker[name]; twice {
			panic(refusal("the name %s is given twice", quote(name)))
		}
		maker[name] = by
	}
	for _, t := range g.Initializers {
		claim(t.Name, given)
	}
	for _, v := range g.Inputs {
		claim(v.Name, given)
	}
	for i, n := range g.Nodes {
		for _, name := range n.Outputs {
			if name != "" {
				claim(name, i)
			}
		}
	}
	if len(g.Outputs) == 0 {
		panic(portRefusal("the model has no outputs"))
	}

	// What is needed, from the outputs backwards.
	needed := make([]bool, len(g.Nodes))
	var open []int
	need := func(name string, reader string) {
		by, ok := maker[name]
		if !ok {
			panic(refusal("%s reads %s, which nothing gives", reader, quote(name)))
		}
		c.read[name]++
		if by != given && !needed[by] {
			needed[by] = true
			open = append(open, by)
		}
	}
	for _, v := range g.Outputs {
		need(v.Name, "the output list")
	}
	for len(open) > 0 {
		n := g.Nodes[open[len(open)-1]]
		open = open[:len(open)-1]
		for _, name := range n.Inputs {
			if name != "" {
				need(name, "node "+title(n))
			}
		}
	}

	// Depth first, with a stack of our own: a hostile chain is as long as the file.
	const (
		fresh = iota
		entered
		done
	)
	type visit struct{ node, next int }
	state := make([]uint8, len(g.Nodes))
	ordered := make([]*onnx.Node, 0, len(g.Nodes))
	for root := range g.Nodes {
		if !needed[root] || state[root] != fresh {
			continue
		}
		stack := []visit{{root, 0}}
		state[root] = entered
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			n := g.Nodes[top.node]
			if top.next == len(n.Inputs) {
				state[top.node] = done
				ordered = append(ordered, n)
				stack = stack[:len(stack)-1]
				continue
			}
			name := n.Inputs[top.next]
			top.next++
			by := given
			if name != "" {
				by = maker[name]
			}
			if by == given || state[by] == done {
				continue
			}
			if state[by] == entered {
				panic(refusal("node %s reads, by way of others, what it gives: the graph has a cycle", title(g.Nodes[by])))
			}
			state[by] = entered
			stack = append(stack, visit{by, 0})
		}
	}
	return ordered
}

// title names a node for messages: short, and on one line.
func title(n *onnx.Node) string {
	name := n.Name
	if name == "" {
		name = n.Op
		if len(n.Outputs) > 0 {
			name += " → " + n.Outputs[0]
		}
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, shortened(name))
}

func shortened(name string) string {
	const most = 120
	if len(name) > most {
		return strings.ToValidUTF8(name[:most], "") + "…"
	}
	return name
}

// quote makes a name of a file fit for a message.
func quote(name string) string { return strconv.Quote(shortened(name)) }
