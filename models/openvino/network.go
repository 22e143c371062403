package openvino

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/cspine/cspine/models"
)

// network is a models.Network.
type network struct {
	engine   *Engine // kept: its core must outlive the network
	compiled uintptr
	inputs   []models.Port
	outputs  []models.Port

	slots  chan uintptr // the infer requests that are free; each has memory of its own
	closed chan struct{}
	once   sync.Once
}

// prepare asks for the ports and makes the requests.
func (n *network) prepare(streams int) error {
	lib := n.engine.lib
	for _, side := range []struct {
		ports *[]models.Port
		size  func(uintptr, *uint64) int32
		get   func(uintptr, uint64, *uintptr) int32
	}{{&n.inputs, lib.inputsSize, lib.input}, {&n.outputs, lib.outputsSize, lib.output}} {
		var count uint64
		if err := lib.check(func() int32 { return side.size(n.compiled, &count) }); err != nil {
			return fmt.Errorf("openvino: counting ports: %w", err)
		}
		for i := range int(count) {
			name, kind, shape, err := lib.port(side.get, n.compiled, i)
			if err != nil {
				return &models.Error{Code: models.CodeUnsupported, Detail: "port: " + err.Error(), Remedy: "export the model with fixed shapes", Err: err}
			}
			if kind != float32C {
				return &models.Error{Code: models.CodeUnsupported, Detail: fmt.Sprintf("port %q is not float32", name), Remedy: "export the model with float32 inputs and outputs"}
			}
			p := models.Port{Name: name, Shape: shape}
			if p.Len() == 0 {
				return &models.Error{Code: models.CodeUnsupported, Detail: fmt.Sprintf("port %q is empty: %v", name, shape)}
			}
			*side.ports = append(*side.ports, p)
		}
	}
	for range streams {
		var request uintptr
		if err := lib.check(func() int32 { return lib.requestCreate(n.compiled, &request) }); err != nil {
			return fmt.Errorf("openvino: making an infer request: %w", err)
		}
		n.slots <- request
	}
	return nil
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
	var request uintptr
	select {
	case request = <-n.slots:
	case <-n.closed:
		return errClosed()
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { n.slots <- request }()
	select {
	case <-n.closed:
		return errClosed()
	default:
	}
	if err := n.infer(request, inputs, outputs); err != nil {
		return fmt.Errorf("openvino: %w", err)
	}
	return ctx.Err()
}

func errClosed() error {
	return &models.Error{Code: models.CodeClosed, Detail: "the network was closed"}
}

// infer runs one request on the caller's memory. The request remembers that memory afterwards, but reads
// it no more before the next call has replaced it.
func (n *network) infer(request uintptr, inputs, outputs [][]float32) error {
	lib := n.engine.lib
	var pinner runtime.Pinner
	defer pinner.Unpin()
	for _, side := range []struct {
		ports   []models.Port
		buffers [][]float32
		set     func(uintptr, uint64, uintptr) int32
	}{{n.inputs, inputs, lib.setInput}, {n.outputs, outputs, lib.setOutput}} {
		for i, p := range side.ports {
			pinner.Pin(&side.buffers[i][0])
			tensor, err := lib.tensor(p.Shape, side.buffers[i])
			if err != nil {
				return fmt.Errorf("tensor for port %q: %w", p.Name, err)
			}
			err = lib.check(func() int32 { return side.set(request, uint64(i), tensor) })
			lib.tensorFree(tensor) // the request holds its own reference
			if err != nil {
				return fmt.Errorf("setting port %q: %w", p.Name, err)
			}
		}
	}
	if err := lib.check(func() int32 { return lib.requestInfer(request) }); err != nil {
		return fmt.Errorf("inference: %w", err)
	}
	return nil
}

func (n *network) Close() error {
	n.once.Do(func() {
		close(n.closed)
		for range cap(n.slots) { // waits for those that run
			n.engine.lib.requestFree(<-n.slots)
		}
		n.engine.lib.compiledFree(n.compiled)
	})
	return nil
}

// discard frees what a failed prepare has made.
func (n *network) discard() {
	for len(n.slots) > 0 {
		n.engine.lib.requestFree(<-n.slots)
	}
	n.engine.lib.compiledFree(n.compiled)
}
