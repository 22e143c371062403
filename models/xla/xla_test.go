package xla

import (
	"errors"
	"testing"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/modelstest"
)

// engine returns an engine on the processor, and skips the test where there is no plugin.
func engine(t testing.TB, opts Options) *Engine {
	t.Helper()
	opts.Platform = "cpu"
	e, err := New(&opts)
	var missing *models.Error
	if errors.As(err, &missing) && missing.Code == models.CodeNoEngine {
		t.Skipf("XLA is not tested: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestConformance(t *testing.T) { modelstest.Run(t, engine(t, Options{})) }

func TestTrainingConformance(t *testing.T) { modelstest.RunTraining(t, engine(t, Options{})) }

func TestTrainingConformanceOfNativeConvolutions(t *testing.T) {
	modelstest.RunTraining(t, engine(t, Options{Convolution: Native}))
}
