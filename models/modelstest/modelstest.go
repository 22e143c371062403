// Package modelstest is the conformance suite of models.Engine and models.TrainingEngine: every engine's tests must call
// Run, and RunTraining if it trains. They compare it with values that PyTorch computed and check the promises of the
// interfaces' comments.
//
// The suite must hold no answer of our own making: all stored values come from PyTorch, and onnxruntime agrees with them.
package modelstest

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/onnx"
)

//go:embed testdata/*.onnx testdata/*.npy
var files embed.FS

// tolerance is the largest difference from PyTorch's float32 values, on outputs between 0 and 1.
var tolerance = map[models.Precision]float64{models.F32: 2e-5, models.BF16: 3e-2}

// Model returns the ONNX file of a case: "unet", a small 3D U-Net of two levels; "unet_bn", the same with its batch
// normalisations kept as nodes; "ports", with two inputs and two outputs.
func Model(t testing.TB, name string) []byte {
	t.Helper()
	b, err := files.ReadFile("testdata/" + name + ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Run runs the suite. except names cases of operators that the engine answers otherwise than PyTorch and onnxruntime; the
// caller must say why.
func Run(t *testing.T, e models.Engine, except ...string) {
	s := suite{e}
	t.Run("says who it is", s.identity)
	for _, precision := range e.Precisions() {
		if precision == models.INT8 {
			t.Run("int8 is for quantised models of recorded accuracy", s.int8)
			continue
		}
		for _, name := range []string{"unet", "unet_bn", "ports"} {
			t.Run(fmt.Sprintf("%s in %s agrees with PyTorch", name, precision), func(t *testing.T) {
				s.agrees(t, name, &models.CompileOptions{Precision: precision, Threads: 2})
			})
		}
		t.Run(fmt.Sprintf("one channel for equal channels in %s", precision), func(t *testing.T) { s.equalChannels(t, precision) })
	}
	for _, name := range cases(t) {
		t.Run(name, func(t *testing.T) {
			if slices.Contains(except, name) {
				t.Skip("the engine answers otherwise")
			}
			s.stored(t, load(t, name))
		})
	}
	t.Run("streams give what one call gives", s.streams)
	t.Run("refuses buffers that do not fit", s.buffers)
	t.Run("refuses what is no model", s.notModels)
	t.Run("refuses an unknown precision", s.precision)
	t.Run("honours contexts", s.contexts)
	t.Run("close", s.close)
}

type suite struct{ engine models.Engine }

func (s suite) identity(t *testing.T) {
	if s.engine.Name() == "" || !strings.Contains(s.engine.Identity(), s.engine.Name()) {
		t.Errorf("name %q, identity %q", s.engine.Name(), s.engine.Identity())
	}
	if !slices.Contains(s.engine.Precisions(), models.F32) {
		t.Errorf("precisions %v lack f32", s.engine.Precisions())
	}
}

func (s suite) compile(t *testing.T, name string, opts *models.CompileOptions) models.Network {
	t.Helper()
	n, err := s.engine.Compile(t.Context(), Model(t, name), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNow(t, n) })
	return n
}

func closeNow(t *testing.T, n models.Network) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

func (s suite) agrees(t *testing.T, name string, opts *models.CompileOptions) {
	n := s.compile(t, name, opts)
	inputs, want := values(t, name, "in", n.Inputs()), values(t, name, "out", n.Outputs())
	got := buffers(n.Outputs())
	for range 2 { // the second run must not see the first's memory
		if err := n.Infer(t.Context(), inputs, got); err != nil {
			t.Fatal(err)
		}
		for k := range want {
			if d := distance(got[k], want[k]); !(d <= tolerance[opts.Precision]) {
				t.Errorf("output %d is off by %g", k, d)
			}
		}
	}
}

// stored compares the outputs of a network around one operator, or a whole one, in float32.
func (s suite) stored(t *testing.T, c *stored) {
	if c.TrainingOnly {
		t.Skip("a file for training only")
	}
	n, err := s.engine.Compile(t.Context(), c.model, &models.CompileOptions{Precision: models.F32, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(t, n)
	got := buffers(n.Outputs())
	if err := n.Infer(t.Context(), fillAll(c.Batches[0].Inputs), got); err != nil {
		t.Fatal(err)
	}
	for k := range got {
		c.compare(t, fmt.Sprintf("eval%d", k), got[k])
	}
}

func (s suite) equalChannels(t *testing.T, precision models.Precision) {
	for _, name := range []string{"unet", "unet_bn"} {
		n := s.compile(t, name, &models.CompileOptions{Precision: precision, EqualChannels: true})
		all := values(t, name, "in", nil)
		inputs := [][]float32{all[0][:n.Inputs()[0].Len()]}
		want, got := values(t, name, "out", n.Outputs()), buffers(n.Outputs())
		if err := n.Infer(t.Context(), inputs, got); err != nil {
			t.Fatal(err)
		}
		if d := distance(got[0], want[0]); !(d <= tolerance[precision]) {
			t.Errorf("%s: output is off by %g", name, d)
		}
	}
}

func (s suite) int8(t *testing.T) {
	quantise := func(record bool) []byte {
		m, err := onnx.Parse(Model(t, "unet"))
		if err != nil {
			t.Fatal(err)
		}
		ranges := map[string]onnx.Range{}
		for _, name := range m.QuantisationPoints() {
			ranges[name] = onnx.Range{Min: 0, Max: 4} // wide enough for what comes after a ReLU here
		}
		if _, err := m.Quantise(ranges); err != nil {
			t.Fatal(err)
		}
		file := m.Bytes()
		if record {
			if file, err = models.WithInt8Record(file, models.Int8Record{Measure: "none"}); err != nil {
				t.Fatal(err)
			}
		}
		return file
	}
	for _, c := range []struct {
		name      string
		model     []byte
		precision models.Precision
	}{
		{"float model", Model(t, "unet"), models.INT8},
		{"quantised, no record", quantise(false), models.INT8},
		{"quantised, in f32", quantise(true), models.F32},
	} {
		_, err := s.engine.Compile(t.Context(), c.model, &models.CompileOptions{Precision: c.precision})
		wantCode(t, c.name, models.CodePrecision, err)
	}
	n, err := s.engine.Compile(t.Context(), quantise(true), &models.CompileOptions{Precision: models.INT8})
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(t, n)
	inputs, want, got := values(t, "unet", "in", n.Inputs()), values(t, "unet", "out", n.Outputs()), buffers(n.Outputs())
	if err := n.Infer(t.Context(), inputs, got); err != nil {
		t.Fatal(err)
	}
	mean := 0.0
	for i := range want[0] {
		mean += math.Abs(float64(got[0][i]-want[0][i])) / float64(len(want[0]))
	}
	if !(mean < 0.05) {
		t.Errorf("mean difference from PyTorch is %g", mean)
	}
}

func (s suite) streams(t *testing.T) {
	n := s.compile(t, "unet", &models.CompileOptions{Streams: 2, Threads: 2})
	inputs := values(t, "unet", "in", n.Inputs())
	want := buffers(n.Outputs())
	if err := n.Infer(t.Context(), inputs, want); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			got := buffers(n.Outputs())
			for range 3 {
				if err := n.Infer(t.Context(), inputs, got); err != nil {
					t.Error(err)
				}
				if !slices.Equal(got[0], want[0]) {
					t.Errorf("off by %g from the call alone", distance(got[0], want[0]))
				}
			}
		})
	}
	wg.Wait()
}

func (s suite) buffers(t *testing.T) {
	n := s.compile(t, "ports", nil)
	in, out := buffers(n.Inputs()), buffers(n.Outputs())
	for _, c := range []struct {
		name            string
		inputs, outputs [][]float32
	}{
		{"no inputs", nil, out},
		{"an input too few", in[:1], out},
		{"an output too many", in, append(slices.Clone(out), out[0])},
		{"inputs swapped", [][]float32{in[1], in[0]}, out},
		{"a short output", in, [][]float32{out[0], out[1][1:]}},
		{"an output left out", in, [][]float32{out[0], nil}},
	} {
		wantCode(t, c.name, models.CodePorts, n.Infer(t.Context(), c.inputs, c.outputs))
	}
}

func (s suite) notModels(t *testing.T) {
	good := Model(t, "unet")
	for _, c := range []struct {
		name  string
		model []byte
	}{{"nothing", nil}, {"text", []byte("<html>Not Found</html>")}, {"half a model", good[:len(good)/2]}, {"zeros", make([]byte, 4096)}} {
		n, err := s.engine.Compile(t.Context(), c.model, nil)
		if n != nil {
			closeNow(t, n)
		}
		wantCode(t, c.name, models.CodeNotONNX, err)
	}
	odd := bytes.ReplaceAll(good, []byte("MaxPool"), []byte("MaxPoal"))
	_, err := s.engine.Compile(t.Context(), odd, nil)
	wantCode(t, "an unknown operator", models.CodeUnsupported, err)
}

func (s suite) precision(t *testing.T) {
	_, err := s.engine.Compile(t.Context(), Model(t, "unet"), &models.CompileOptions{Precision: "f3"})
	wantCode(t, "f3", models.CodePrecision, err)
}

func (s suite) contexts(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := s.engine.Compile(over, Model(t, "unet"), nil); !errors.Is(err, context.Canceled) || n != nil {
		t.Errorf("compiling: got %v, %v", n, err)
	}
	n := s.compile(t, "unet", nil)
	if err := n.Infer(over, buffers(n.Inputs()), buffers(n.Outputs())); !errors.Is(err, context.Canceled) {
		t.Errorf("inferring: %v", err)
	}
	if err := n.Infer(t.Context(), buffers(n.Inputs()), buffers(n.Outputs())); err != nil {
		t.Errorf("after a cancelled call: %v", err)
	}
}

func (s suite) close(t *testing.T) {
	n := s.compile(t, "unet", &models.CompileOptions{Streams: 2})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			in, out := buffers(n.Inputs()), buffers(n.Outputs())
			for {
				if err := n.Infer(t.Context(), in, out); err != nil {
					wantCode(t, "closed in between", models.CodeClosed, err)
					return
				}
			}
		})
	}
	for range 2 {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	wantCode(t, "closed", models.CodeClosed, n.Infer(t.Context(), buffers(n.Inputs()), buffers(n.Outputs())))
}

// wantCode wants an *models.Error with the code, or one of several joined by " or ".
func wantCode(t *testing.T, name, code string, err error) {
	t.Helper()
	var e *models.Error
	if !errors.As(err, &e) || !slices.Contains(strings.Split(code, " or "), e.Code) {
		t.Errorf("%s: error is %v, want %s", name, err, code)
	}
}

func buffers(ports []models.Port) [][]float32 {
	all := make([][]float32, len(ports))
	for i, p := range ports {
		all[i] = make([]float32, p.Len())
	}
	return all
}

// values reads the stored arrays of a case and compares their shapes with the ports, unless these are nil.
func values(t *testing.T, name, kind string, ports []models.Port) [][]float32 {
	t.Helper()
	name = strings.TrimSuffix(name, "_bn")
	var all [][]float32
	for k := 0; ; k++ {
		file, err := files.ReadFile(fmt.Sprintf("testdata/%s.%s%d.npy", name, kind, k))
		if err != nil {
			break
		}
		a, err := npy.Decode(file)
		if err != nil {
			t.Fatal(err)
		}
		if ports != nil && (k >= len(ports) || !slices.Equal(ports[k].Shape, a.Shape)) {
			t.Fatalf("%s: ports %v, want %s %d to be %v", name, ports, kind, k, a.Shape)
		}
		all = append(all, floats(a))
	}
	if ports != nil && len(all) != len(ports) {
		t.Fatalf("%s: %d ports, want %d", name, len(ports), len(all))
	}
	return all
}

// distance is the largest difference; NaN if there is one.
func distance(a, b []float32) float64 {
	worst := 0.0
	for i := range a {
		d := math.Abs(float64(a[i]) - float64(b[i]))
		if !(d <= worst) {
			worst = d
		}
		if math.IsNaN(d) {
			return d
		}
	}
	return worst
}
