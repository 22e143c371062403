package xla

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/modelstest"
	"github.com/cspine/cspine/models/xla/pjrt"
)

// TestMain has programs for the processor optimised less by LLVM, which takes most of their compilation and is none of ours. A flag that is set
// stays as it is.
func TestMain(m *testing.M) {
	if os.Getenv("CSPINE_XLA_PLUGIN") == "" && os.Getenv("XLA_FLAGS") == "" {
		_ = pjrt.Setenv("XLA_FLAGS", "--xla_backend_optimization_level=1") // where it fails there is no XLA either
	}
	os.Exit(m.Run())
}

// engine returns an engine on the processor, or on what the plugin named in CSPINE_XLA_PLUGIN serves. It skips the test
// where there is none.
func engine(t testing.TB, opts Options) *Engine {
	t.Helper()
	if opts.Plugin = os.Getenv("CSPINE_XLA_PLUGIN"); opts.Plugin == "" {
		opts.Platform = "cpu"
	}
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

// form is the convolutions' that the conformance suites run with: native ones too, where the environment asks for it.
func form() Form { return Form(os.Getenv("CSPINE_TEST_XLA_CONVOLUTION")) }

func TestConformance(t *testing.T) { modelstest.Run(t, engine(t, Options{Convolution: form()})) }

func TestTrainingConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles some hundred programs")
	}
	modelstest.RunTraining(t, engine(t, Options{Convolution: form()}))
}

// once trains the suite's small U-Net for one step, on a batch of two, and returns its loss, gradients and state.
func once(t *testing.T, e *Engine, precision models.Precision) (loss float32, gradients map[string][]float32, s models.State) {
	t.Helper()
	tr, b := unet(t, e, precision)
	loss, err := tr.Gradients(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	s, err = tr.State()
	if err != nil {
		t.Fatal(err)
	}
	gradients = map[string][]float32{}
	for name := range s.First {
		if gradients[name], err = tr.GradientOf(name); err != nil {
			t.Fatal(err)
		}
	}
	return loss, gradients, s
}

func unet(t *testing.T, e *Engine, precision models.Precision) (models.Trainer, models.Batch) {
	t.Helper()
	model := modelstest.Model(t, "unet_bn")
	info, err := models.Info(model)
	if err != nil {
		t.Fatal(err)
	}
	var shape []int
	for _, d := range info.Inputs[0].Shape {
		shape = append(shape, int(d))
	}
	shape[0] = 2
	tr, err := e.CompileTraining(t.Context(), model, models.TrainingOptions{InputShapes: [][]int{shape}, Precision: precision,
		Loss: models.Loss{Terms: []models.LossTerm{{Output: info.Outputs[0].Name, Kind: models.Dice, Weight: 1, Smooth: 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	b := models.Batch{Inputs: [][]float32{make([]float32, tr.Inputs()[0].Len())}, Targets: [][]float32{make([]float32, tr.Outputs()[0].Len())}}
	for i := range b.Inputs[0] {
		b.Inputs[0][i] = float32(math.Sin(float64(i*i) / 97))
	}
	for i := range b.Targets[0] {
		b.Targets[0][i] = float32(i / 7 % 2)
	}
	return tr, b
}

// near compares every gradient by its largest value.
func near(t *testing.T, got, want map[string][]float32, tolerance float64) {
	t.Helper()
	for name, w := range want {
		top := 1e-9
		for _, v := range w {
			top = max(top, math.Abs(float64(v)))
		}
		for i := range w {
			if d := math.Abs(float64(got[name][i] - w[i])); !(d <= tolerance*top) {
				t.Errorf("gradient of %s: value %d is %g, want %g", name, i, got[name][i], w[i])
				break
			}
		}
	}
}

func TestEveryFormOfConvolutionHasTheSameGradients(t *testing.T) {
	loss, want, _ := once(t, engine(t, Options{Convolution: Taps}), models.F32)
	other, got, _ := once(t, engine(t, Options{Convolution: Native}), models.F32)
	if d := math.Abs(float64(loss - other)); d > 1e-6 {
		t.Errorf("losses are %g and %g", loss, other)
	}
	near(t, got, want, 2e-4)
}

func TestTwoDevicesGiveWhatOneGives(t *testing.T) {
	loss, want, state := once(t, engine(t, Options{}), models.F32)
	other, got, shared := once(t, engine(t, Options{Devices: 2}), models.F32)
	if d := math.Abs(float64(loss - other)); d > 1e-6 {
		t.Errorf("losses are %g and %g", loss, other)
	}
	near(t, got, want, 2e-4)
	near(t, shared.Weights, state.Weights, 1e-5) // running statistics too: normalisation is over the whole batch
}

func TestABatchThatCannotBeSharedOutIsRefused(t *testing.T) {
	e := engine(t, Options{Devices: 3})
	_, err := e.CompileTraining(t.Context(), modelstest.Model(t, "unet_bn"), models.TrainingOptions{Loss: models.Loss{Terms: []models.LossTerm{{Output: "y", Kind: models.Dice}}}})
	if err == nil {
		t.Error("a batch of one was split over three devices")
	}
}

func TestBFloat16KeepsGradientsNearFloat32(t *testing.T) {
	e := engine(t, Options{})
	loss, want, _ := once(t, e, models.F32)
	half, got, _ := once(t, e, models.BF16)
	if d := math.Abs(float64(half/loss - 1)); d > .02 {
		t.Errorf("losses are %g and %g", half, loss)
	}
	var dot, a, b float64 // of all together: those of a normalisation's scale are sums that nearly cancel
	for name, w := range want {
		for i := range w {
			dot += float64(w[i]) * float64(got[name][i])
			a += float64(w[i]) * float64(w[i])
			b += float64(got[name][i]) * float64(got[name][i])
		}
	}
	if cos := dot / math.Sqrt(a*b); !(cos > .97) {
		t.Errorf("the gradient points elsewhere: cosine %g", cos)
	}
}

func TestEqualTrainingsHaveEqualBits(t *testing.T) {
	e := engine(t, Options{})
	run := func() models.State {
		tr, b := unet(t, e, models.F32)
		for range 3 {
			if _, err := tr.Gradients(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if _, err := tr.Update(t.Context(), 1e-3); err != nil {
				t.Fatal(err)
			}
		}
		s, err := tr.State()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b := run(), run()
	for name, w := range a.Weights {
		if !slices.Equal(w, b.Weights[name]) {
			t.Errorf("%s differs", name)
		}
	}
}

func TestIdentityNamesAllThatDecides(t *testing.T) {
	a, b := engine(t, Options{Convolution: Taps}), engine(t, Options{Convolution: Native})
	if a.Identity() == b.Identity() {
		t.Errorf("two forms of convolution, one identity: %s", a.Identity())
	}
	for _, part := range []string{"xla on " + a.Platform(), "PJRT 0.", "gomlx " + gomlxVersion, "go-xla " + goXLAVersion, "convolution "} {
		if !strings.Contains(a.Identity(), part) {
			t.Errorf("%q lacks %q", a.Identity(), part)
		}
	}
}

func TestIdentityHasTheModulesThatAreBuiltIn(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"github.com/gomlx/gomlx " + gomlxVersion, "github.com/gomlx/go-xla " + goXLAVersion} {
		if !strings.Contains(string(mod), line) {
			t.Errorf("go.mod has another version than %q: run the conformance suites, then name the new one", line)
		}
	}
}

func TestWithoutAPluginTheErrorSaysHowToGetOne(t *testing.T) {
	empty := t.TempDir()
	text := filepath.Join(empty, "plugin.so")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(empty)
	t.Setenv("CSPINE_NATIVE_DIR", filepath.Join(empty, "native"))
	t.Setenv("CSPINE_XLA_PLUGIN", "")
	for _, c := range []struct {
		name string
		opts Options
		want string
	}{
		{"a file that is missing", Options{Plugin: filepath.Join(empty, "libpjrt_cpu.so")}, "./run.sh setup xla-cpu"},
		{"a file that is no library", Options{Plugin: text}, "./run.sh setup xla-cpu"},
		{"no plugin for processors", Options{Platform: "cpu"}, "./run.sh setup xla-cpu"},
		{"no plugin for GPUs", Options{Platform: "cuda"}, "./run.sh setup xla-cuda"},
		{"an unknown platform", Options{Platform: "tpu"}, "there are cuda and cpu"},
	} {
		_, err := New(&c.opts)
		var e *models.Error
		if !errors.As(err, &e) || e.Code != models.CodeNoEngine || !strings.Contains(e.Error(), c.want) {
			t.Errorf("%s: %v, want %s with %q", c.name, err, models.CodeNoEngine, c.want)
		}
	}
}

func TestAPluginIsFoundWhereSetUpPutsIt(t *testing.T) {
	root := t.TempDir()
	for _, file := range []string{"xla-cpu/libpjrt_cpu.so", "xla-cuda/jax_plugins/xla_cuda13/xla_cuda_plugin.so"} {
		path := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		platform := strings.TrimPrefix(strings.Split(file, "/")[0], "xla-")
		for _, dir := range []string{root, filepath.Join(root, "openvino")} { // in the native folder, and beside it
			t.Run(fmt.Sprint(platform, " ", filepath.Base(dir) == "openvino"), func(t *testing.T) {
				t.Chdir(t.TempDir())
				t.Setenv("CSPINE_NATIVE_DIR", dir)
				if got, err := Find("", platform); err != nil || got != path {
					t.Errorf("found %q, %v, want %q", got, err, path)
				}
			})
		}
	}
}
