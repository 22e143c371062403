package openvino

import (
	"errors"
	"path/filepath"
	"slices"
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

// A mean that counts padding, where rounding up lets the last window reach beyond it: OpenVINO counts what lies there, ONNX
// and PyTorch do not.
func TestConformance(t *testing.T) {
	modelstest.Run(t, engine(t), "avgpool_ceil_count_2d", "avgpool_ceil_count_3d")
}

func TestMissingLibraryNamesTheRemedy(t *testing.T) {
	_, err := New(&Options{Dir: filepath.Join(t.TempDir(), "nothing")})
	var missing *models.Error
	if !errors.As(err, &missing) || missing.Code != models.CodeNoEngine || missing.Remedy == "" {
		t.Errorf("error is %v", err)
	}
}

func TestBF16IsReallyUsed(t *testing.T) {
	e := engine(t)
	if !slices.Contains(e.Precisions(), models.BF16) {
		t.Skip("this processor has no bf16")
	}
	var outs [2][]float32
	for i, precision := range []models.Precision{models.F32, models.BF16} {
		n, err := e.Compile(t.Context(), modelstest.Model(t, "unet"), &models.CompileOptions{Precision: precision})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		in := make([]float32, n.Inputs()[0].Len())
		for k := range in {
			in[k] = float32(k%97) / 97
		}
		outs[i] = make([]float32, n.Outputs()[0].Len())
		if err := n.Infer(t.Context(), [][]float32{in}, [][]float32{outs[i]}); err != nil {
			t.Fatal(err)
		}
	}
	worst := float32(0)
	for k := range outs[0] {
		worst = max(worst, outs[0][k]-outs[1][k], outs[1][k]-outs[0][k])
	}
	if worst < 1e-5 {
		t.Errorf("bf16 differs from f32 by %g only: it is f32", worst)
	}
}
