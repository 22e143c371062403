package gorgonia

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	G "gorgonia.org/gorgonia"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/gorgonia/kernel"
	"github.com/cspine/cspine/models/program"
)

// building is held while graphs are made: Gorgonia keeps some of what it makes nodes of in globals.
var building sync.Mutex

// guard runs f under the lock and turns panics, ours and Gorgonia's, into errors.
func guard(f func() error) (err error) {
	building.Lock()
	defer building.Unlock()
	defer func() {
		if e := recover(); e != nil {
			if ours, ok := e.(failure); ok {
				err = ours.err
				return
			}
			err = fmt.Errorf("gorgonia: building the graph: %v\n%s", e, debug.Stack())
		}
	}()
	return f()
}

// read makes a program of a model's bytes. The error is a *models.Error.
func read(model []byte, opts *program.Options) (*program.Program, error) {
	p, err := models.Program(model, opts)
	if err != nil {
		return nil, err
	}
	p = spread(p)
	for _, side := range [][]int{p.Inputs, p.Outputs} {
		for _, v := range side {
			if p.Values[v].Len() == 0 {
				return nil, &models.Error{Code: models.CodeUnsupported, Detail: fmt.Sprintf("port %q is empty: %v", p.Values[v].Name, p.Values[v].Shape)}
			}
		}
	}
	return p, nil
}

func unsupported(err error) error {
	var known *models.Error
	if errors.As(err, &known) {
		return err
	}
	return &models.Error{Code: models.CodeUnsupported, Detail: err.Error(), Err: err}
}

// ports returns a program's inputs or outputs.
func ports(p *program.Program, values []int) []models.Port {
	var all []models.Port
	for _, v := range values {
		all = append(all, models.Port{Name: p.Values[v].Name, Shape: p.Values[v].Shape})
	}
	return all
}

func newBuilder(p *program.Program, w *kernel.Workers, convs map[kernel.Geometry]*kernel.Conv, training bool) *builder {
	return &builder{symbols: symbols{graph: G.NewGraph()}, program: p, training: training, workers: w, convs: convs}
}

// leaves says what memory the graph's inputs are: the caller's, and what weights and constants say.
func (b *builder) leaves(of func(value int) want) map[*G.Node]want {
	all := map[*G.Node]want{}
	for v, n := range b.nodes {
		if n != nil && b.program.Values[v].Role != program.Computed {
			all[n] = of(v)
		}
	}
	for i, v := range b.program.Inputs {
		all[b.nodes[v]] = want{source: given, index: i}
	}
	return all
}

// outputs wants the program's outputs in the caller's slices.
func (b *builder) outputs() []want {
	var all []want
	for i, v := range b.program.Outputs {
		all = append(all, want{b.nodes[v], wanted, i})
	}
	return all
}

// inputShapes returns the shapes of a program's inputs.
func inputShapes(p *program.Program) [][]int {
	var all [][]int
	for _, v := range p.Inputs {
		all = append(all, p.Values[v].Shape)
	}
	return all
}
