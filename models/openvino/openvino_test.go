package openvino

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/modelstest"
)

// engine skips the test where the native library is not set up.
func engine(t testing.TB) *Engine {
	t.Helper()
	e, err := New(nil)
	var missing *models.Error
	if errors.As(err, &missing) && missing.Code == models.CodeNoEngine {
		t.Skipf("OpenVINO is not set up (./run.sh setup): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestConformance(t *testing.T) { modelstest.Run(t, engine(t)) }

func TestMissingLibraryNamesTheRemedy(t *testing.T) {
	_, err := New(&Options{Dir: filepath.Join(t.TempDir(), "nothing")})
	var missing *models.Error
	if !errors.As(err, &missing) || missing.Code != models.CodeNoEngine || missing.Remedy == "" {
		t.Errorf("error is %v", err)
	}
}

func BenchmarkInfer(b *testing.B) {
	e := engine(b)
	n, err := e.Compile(b.Context(), modelstest.Model(b, "unet"), &models.CompileOptions{Precision: e.Precisions()[0], EqualChannels: true})
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	in, out := make([]float32, n.Inputs()[0].Len()), make([]float32, n.Outputs()[0].Len())
	for b.Loop() {
		if err := n.Infer(b.Context(), [][]float32{in}, [][]float32{out}); err != nil {
			b.Fatal(err)
		}
	}
}
