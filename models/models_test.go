package models_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/modelstest"
)

func TestInfoNamesWhatIsNoModel(t *testing.T) {
	var refused *models.Error
	if _, err := models.Info([]byte("PK\x03\x04")); !errors.As(err, &refused) || refused.Code != models.CodeNotONNX {
		t.Errorf("error is %v", err)
	}
	if info, err := models.Info(modelstest.Model(t, "unet")); err != nil || info.Parameters != 24839 {
		t.Errorf("got %+v, %v", info, err)
	}
}

func TestPrepareLeavesAloneWhatItCannotImprove(t *testing.T) {
	ports := modelstest.Model(t, "ports")
	got, err := models.Prepare(ports, &models.CompileOptions{EqualChannels: true})
	if err != nil || !bytes.Equal(got, ports) {
		t.Errorf("changed, or %v", err)
	}
	unet := modelstest.Model(t, "unet")
	before := bytes.Clone(unet)
	if got, err := models.Prepare(unet, nil); err != nil || bytes.Equal(got, unet) {
		t.Errorf("not changed, or %v", err)
	}
	if !bytes.Equal(before, unet) {
		t.Error("Prepare wrote to the model it was given")
	}
}

// counter is an engine that counts compilations and fails the first.
type counter struct {
	compiled atomic.Int32
	failures int32
}

func (c *counter) Name() string                   { return "counter" }
func (c *counter) Identity() string               { return "counter" }
func (c *counter) Precisions() []models.Precision { return []models.Precision{models.F32} }
func (c *counter) Compile(context.Context, []byte, *models.CompileOptions) (models.Network, error) {
	if n := c.compiled.Add(1); n <= c.failures {
		return nil, errors.New("out of luck")
	}
	return new(idle), nil
}

type idle struct{ _ int }

func (*idle) Inputs() []models.Port                                 { return nil }
func (*idle) Outputs() []models.Port                                { return nil }
func (*idle) Infer(context.Context, [][]float32, [][]float32) error { return nil }
func (*idle) Close() error                                          { return nil }

func read(context.Context) ([]byte, error) { return nil, nil }

func TestSharedCompilesOnceForAllWorkers(t *testing.T) {
	var s models.Shared
	e := &counter{}
	var wg sync.WaitGroup
	nets := make([]models.Network, 8)
	for i := range nets {
		wg.Go(func() {
			var err error
			if nets[i], err = s.Network(t.Context(), e, "aa", read, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, n := range nets {
		if n != nets[0] {
			t.Error("workers have different networks")
		}
	}
	if n := e.compiled.Load(); n != 1 {
		t.Errorf("%d compilations", n)
	}
	if _, err := s.Network(t.Context(), e, "aa", read, &models.CompileOptions{Streams: 2}); err != nil || e.compiled.Load() != 2 {
		t.Errorf("other options are another network: %v", err)
	}
}

func TestSharedTriesAgainAfterAFailure(t *testing.T) {
	var s models.Shared
	e := &counter{failures: 1}
	if _, err := s.Network(t.Context(), e, "aa", read, nil); err == nil {
		t.Error("the first fails")
	}
	if _, err := s.Network(t.Context(), e, "aa", read, nil); err != nil {
		t.Error(err)
	}
	lost := errors.New("no such object")
	if _, err := s.Network(t.Context(), e, "bb", func(context.Context) ([]byte, error) { return nil, lost }, nil); !errors.Is(err, lost) {
		t.Errorf("error is %v", err)
	}
}
