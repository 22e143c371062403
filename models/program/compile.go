package program

import (
	"fmt"

	"github.com/cspine/cspine/models/onnx"
)

// Options of Compile.
type Options struct {
	// InputShapes has the shape of every input of the model in its order, in place of what the file
	// declares. Nil takes the file's.
	InputShapes [][]int
	// Training keeps what only training needs: Dropout stays, statistics are told apart, and what is computed from parameters
	// stays computed. Otherwise constants are folded as far as they go.
	Training bool
	// MaxBytes bounds the memory that all values would take together. 0 means 64 GiB.
	MaxBytes int64
}

const defaultMaxBytes = 64 << 30

// Error says which part of a graph can't be used.
type Error struct {
	Node   string // the node's name, or its operator and first output where it has none; empty where the graph as a whole is at fault
	Op     string
	Detail string // what was expected and what is there
	// Ports: the model's inputs or outputs, or the shapes asked for, are at fault, not what the model computes.
	Ports bool
}

func (e *Error) Error() string {
	if e.Node == "" {
		return "program: " + e.Detail
	}
	return "program: node " + e.Node + " (" + e.Op + "): " + e.Detail
}

func refusal(format string, args ...any) *Error { return &Error{Detail: fmt.Sprintf(format, args...)} }

func portRefusal(format string, args ...any) *Error {
	return &Error{Detail: fmt.Sprintf(format, args...), Ports: true}
}

// Compile reads a model. The error is an *Error.
//
// A float initializer that an operation reads is a Parameter, or a Statistic where it is a BatchNorm's mean or variance, even where
// Training is not set. Initial states of an LSTM, and numbers that a fused pattern knows (GELU's ½), are no parameters though the file
// may keep them with the weights. float16, bfloat16 and float64 are computed in float32.
func Compile(m *onnx.Model, opts *Options) (p *Program, err error) {
	c := &compiler{values: map[string]*value{}, read: map[string]int{}}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.MaxBytes <= 0 {
		c.opts.MaxBytes = defaultMaxBytes
	}
	// Rules refuse by panicking with an *Error. Anything else that panics is a mistake of ours that a file found.
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Error:
			p, err = nil, r
		default:
			p, err = nil, c.current.error(fmt.Sprintf("can't be compiled: %v", r))
		}
	}()
	if m == nil {
		return nil, refusal("there is no model")
	}
	c.run(m)
	return c.finish(m), nil
}

// compiler holds what is known so far of one graph.
type compiler struct {
	opts    Options
	version int64 // of ONNX's operator set
	values  map[string]*value
	// read has how often a name is read by nodes that are needed and by the graph's outputs.
	read    map[string]int
	inputs  []*value
	outputs []*value
	steps   []*step
	budget  int64 // elements that may still be computed while compiling
	current *node
}

// step is an Op before values have their indices. in has nil for what is left out.
type step struct {
	do      Operation
	in, out []*value
	node    string
}

func (c *compiler) run(m *onnx.Model) {
	c.version = m.Opsets[""]
	if c.version < minVersion || c.version > maxVersion {
		panic(refusal("the model is of operator set %d; %d to %d are known: export it with another opset_version", c.version, minVersion, maxVersion))
	}
	nodes := c.order(&m.Graph)
	c.addInitializers(&m.Graph)
	c.addInputs(&m.Graph)
	for _, n := range nodes {
		c.compile(n)
	}
	c.current = nil
}

// The versions of ONNX's operator set whose operators are known.
const (
	minVersion = 9
	maxVersion = 24
)

func (c *compiler) addInitializers(g *onnx.Graph) {
	c.budget = foldFloor
	for _, t := range g.Initializers {
		c.values[t.Name] = &value{name: t.Name, source: t, role: Parameter}
	}
}

func (c *compiler) addInputs(g *onnx.Graph) {
	shapes := c.opts.InputShapes
	if shapes != nil && len(shapes) != len(g.Inputs) {
		panic(portRefusal("shapes of %d inputs were asked for, but the model has %d", len(shapes), len(g.Inputs)))
	}
	for i, in := range g.Inputs {
		if !in.Type.IsFloat() {
			panic(portRefusal("input %s is of type %v; only floating-point inputs are served", quote(in.Name), in.Type))
		}
		v := &value{name: in.Name, role: Input}
		if shapes != nil {
			v.shape = append([]int{}, shapes[i]...)
		} else {
			for _, d := range in.Shape {
				if d < 0 {
					panic(portRefusal("input %s has the open shape %v: say which shape to compile for", quote(in.Name), in.Shape))
				}
				v.shape = append(v.shape, int(min(d, maxElements+1)))
			}
		}
		if detail := badShape(v.shape); detail != "" {
			panic(portRefusal("input %s: %s", quote(in.Name), detail))
		}
		c.values[in.Name] = v
		c.inputs = append(c.inputs, v)
	}
}

// compile applies a node's rule.
func (c *compiler) compile(raw *onnx.Node) {
	n := &node{Node: raw, c: c, asked: map[string]bool{}}
	c.current = n
	r, ok := rules[raw.Op]
	if raw.Domain != "" || !ok {
		n.refuse("the operator is not served")
	}
	if len(raw.Inputs) < r.minIn || len(raw.Inputs) > r.maxIn {
		n.refuse("it has %d inputs; %d to %d are expected", len(raw.Inputs), r.minIn, r.maxIn)
	}
	if len(raw.Outputs) < 1 || len(raw.Outputs) > r.maxOut {
		n.refuse("it has %d outputs; 1 to %d are expected", len(raw.Outputs), r.maxOut)
	}
	for i, name := range raw.Inputs {
		if name == "" {
			if i < r.minIn {
				n.refuse("input %d is left out", i)
			}
			n.in = append(n.in, nil)
			continue
		}
		v := c.values[name]
		if v == nil {
			n.refuse("input %s is not computed before", quote(name))
		}
		n.in = append(n.in, n.load(v))
	}
	r.do(n)
	for _, a := range raw.Attributes {
		if !n.asked[a.Name] {
			n.refuse("the attribute %s is not known", quote(a.Name))
		}
	}
	for i, name := range raw.Outputs {
		if c.read[name] > 0 && c.values[name] == nil {
			n.refuse("its output %d (%s) is not served", i, quote(name))
		}
	}
}
