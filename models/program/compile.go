package program

import "github.com/cspine/cspine/models/onnx"

// Options of Compile.
type Options struct {
	// InputShapes has the shape of every input of the model in its order, in place of what the file
	// declares. Nil takes the file's.
	InputShapes [][]int
	// Training keeps what only training needs: Dropout stays, and every BatchNorm keeps its statistics. Otherwise
	// constants are folded as far as they go.
	Training bool
}

// Compile reads a model. The error is an *Error.
func Compile(m *onnx.Model, opts *Options) (*Program, error) {
	return nil, nil
}

// Error says which part of a graph can't be used.
type Error struct {
	Node   string // the node's name, or its operator and first output where it has none; empty where the graph as a whole is at fault
	Op     string
	Detail string // what was expected and what is there
}

func (e *Error) Error() string {
	if e.Node == "" {
		return "program: " + e.Detail
	}
	return "program: node " + e.Node + " (" + e.Op + "): " + e.Detail
}
