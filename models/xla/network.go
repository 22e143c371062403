package xla

import (
	"context"
	"fmt"
	"sync"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/program"
	"github.com/cspine/cspine/models/xla/backend"
)

// network is a models.Network.
type network struct {
	m               *model
	run             *backend.Program
	inputs, outputs []models.Port

	slots  chan struct{} // a token for each call that may run
	closed chan struct{}
	once   sync.Once
}

func newNetwork(e *Engine, p *program.Program, precision models.Precision, streams int) (*network, error) {
	m, err := newModel(e, p, precision, 1)
	if err != nil {
		return nil, err
	}
	n := &network{m: m, inputs: m.ports(p.Inputs), outputs: m.ports(p.Outputs), slots: make(chan struct{}, streams), closed: make(chan struct{})}
	if n.run, err = m.inference(); err != nil {
		m.free()
		return nil, err
	}
	for range streams {
		n.slots <- struct{}{}
	}
	return n, nil
}

func (n *network) Inputs() []models.Port  { return n.inputs }
func (n *network) Outputs() []models.Port { return n.outputs }

func (n *network) Infer(ctx context.Context, inputs, outputs [][]float32) error {
	if err := models.CheckBuffers(n, inputs, outputs); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-n.slots:
	case <-n.closed:
		return errClosed()
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { n.slots <- struct{}{} }()
	select {
	case <-n.closed:
		return errClosed()
	default:
	}
	if err := n.m.infer(n.run, inputs, outputs); err != nil {
		return fmt.Errorf("xla: inference: %w", err)
	}
	return ctx.Err()
}

func (n *network) Close() error {
	n.once.Do(func() {
		close(n.closed)
		for range cap(n.slots) { // waits for those that run
			<-n.slots
		}
		n.run.Finalize()
		n.m.free()
	})
	return nil
}

func errClosed() error {
	return &models.Error{Code: models.CodeClosed, Detail: "it was closed"}
}
