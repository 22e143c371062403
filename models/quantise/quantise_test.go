package quantise_test

import (
	"errors"
	"iter"
	"math"
	"strings"
	"testing"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/modelstest"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/models/openvino"
	"github.com/cspine/cspine/models/quantise"
)

func engine(t *testing.T) models.Engine {
	t.Helper()
	e, err := openvino.New(nil)
	var missing *models.Error
	if errors.As(err, &missing) && missing.Code == models.CodeNoEngine {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// volumes are samples of one volume of the suite's U-Net, with a channel each time shown thrice.
func volumes(n int) iter.Seq2[[][]float32, error] {
	return func(yield func([][]float32, error) bool) {
		for k := range n {
			in := make([]float32, 3*16*16*16)
			for i := range in {
				voxel := i % (16 * 16 * 16)
				in[i] = float32((voxel*2654435761+k*97)>>7&255) / 255
			}
			if !yield([][]float32{in}, nil) {
				return
			}
		}
	}
}

func TestQuantisedModelAgreesWithTheFloatModel(t *testing.T) {
	e := engine(t)
	model := modelstest.Model(t, "unet_bn")
	quantised, err := quantise.Int8(t.Context(), e, model, nil, volumes(4))
	if err != nil {
		t.Fatal(err)
	}
	again, err := quantise.Int8(t.Context(), e, model, nil, volumes(4))
	if err != nil {
		t.Fatal(err)
	}
	if string(quantised) != string(again) {
		t.Error("the same model and samples gave other bytes")
	}
	if len(quantised) > len(model)*2/3 {
		t.Errorf("%d bytes, the float model has %d", len(quantised), len(model))
	}
	recorded, err := models.WithInt8Record(quantised, models.Int8Record{Measure: "none"})
	if err != nil {
		t.Fatal(err)
	}
	want, got := infer(t, e, model, models.F32), infer(t, e, recorded, models.INT8)
	mean, spread := 0.0, 0.0
	for i := range want {
		mean += math.Abs(float64(got[i]-want[i])) / float64(len(want))
		spread += math.Abs(float64(want[i])-0.5) / float64(len(want))
	}
	if !(mean < 0.02) || spread < 0.1 {
		t.Errorf("off by %g on average, where the float model is %g from one half", mean, spread)
	}
}

func infer(t *testing.T, e models.Engine, model []byte, p models.Precision) []float32 {
	t.Helper()
	n, err := e.Compile(t.Context(), model, &models.CompileOptions{Precision: p})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	out := make([]float32, n.Outputs()[0].Len())
	for in := range volumes(1) {
		if err := n.Infer(t.Context(), in, [][]float32{out}); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestRefusesWhatCannotBeQuantised(t *testing.T) {
	e := engine(t)
	model := modelstest.Model(t, "unet")
	quantised, err := quantise.Int8(t.Context(), e, model, nil, volumes(1))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the disk is on fire")
	for _, c := range []struct {
		name    string
		model   []byte
		samples iter.Seq2[[][]float32, error]
		want    string
	}{
		{"no samples", model, volumes(0), "no sample"},
		{"samples that can't be read", model, func(yield func([][]float32, error) bool) { yield(nil, broken) }, broken.Error()},
		{"quantised already", quantised, volumes(1), "quantised"},
		{"no model", []byte("text"), volumes(1), "not an ONNX file"},
	} {
		if _, err := quantise.Int8(t.Context(), e, c.model, nil, c.samples); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v", c.name, err)
		}
	}
}

func TestRangesMustBeRanges(t *testing.T) {
	m, err := onnx.Parse(modelstest.Model(t, "unet"))
	if err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	for _, r := range []onnx.Range{{Min: nan}, {Max: nan}, {Min: 2, Max: 1}, {Max: float32(math.Inf(1))}} {
		if _, err := m.Quantise(map[string]onnx.Range{m.QuantisationPoints()[0]: r}); err == nil {
			t.Errorf("%v was accepted", r)
		}
	}
}
