package gorgonia

import (
	"context"
	"fmt"
	"sync"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/gorgonia/kernel"
	"github.com/cspine/cspine/models/program"
)

// network is a models.Network.
type network struct {
	inputs, outputs []models.Port
	streams         chan *machine // those that are free
	closed          chan struct{}
	once            sync.Once
}

func newNetwork(ctx context.Context, p *program.Program, o *models.CompileOptions) (*network, error) {
	streams := max(o.Streams, 1)
	n := &network{inputs: ports(p, p.Inputs), outputs: ports(p, p.Outputs), streams: make(chan *machine, streams), closed: make(chan struct{})}
	data := make([][]float32, len(p.Values))
	for v := range p.Values {
		data[v] = p.Values[v].Data
	}
	for range streams {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		w := kernel.NewWorkers(max(1, threads(o.Threads)/streams))
		var m *machine
		err := guard(func() (err error) {
			b := newBuilder(p, w, map[kernel.Geometry]*kernel.Conv{}, false)
			b.forward()
			plan := newPlan(b.leaves(func(v int) want { return want{source: fixed, index: v} }), b.outputs())
			if err := checkMemory(plan.bytes() * int64(streams)); err != nil {
				return err
			}
			m, err = newMachine(plan, &memory{arena: make([]float32, plan.size), fixed: data}, &exec{workers: w}, inputShapes(p))
			return err
		})
		if err != nil {
			return nil, unsupported(err)
		}
		n.streams <- m
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
	var m *machine
	select {
	case m = <-n.streams:
	case <-n.closed:
		return errClosed()
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { n.streams <- m }()
	select {
	case <-n.closed:
		return errClosed()
	default:
	}
	return m.run(ctx, inputs, outputs)
}

func (n *network) Close() error {
	n.once.Do(func() {
		close(n.closed)
		for range cap(n.streams) { // waits for those that run
			<-n.streams
		}
	})
	return nil
}

func errClosed() error {
	return &models.Error{Code: models.CodeClosed, Detail: "the network was closed"}
}

// bytes returns the memory that a plan's arena takes.
func (p *plan) bytes() int64 { return 4 * int64(p.size) }

// checkMemory refuses what this machine can't hold, before anything is allocated.
func checkMemory(bytes int64) error {
	if free := available(); free > 0 && bytes > free {
		return &models.Error{Code: models.CodeUnsupported, Remedy: "take a smaller batch, a smaller shape or fewer streams",
			Detail: fmt.Sprintf("the network needs %d MiB of memory for its values, %d MiB are free", bytes>>20, free>>20)}
	}
	return nil
}
