package modelstest

import (
	"archive/zip"
	"bytes"
	"embed"
	"encoding/binary"
	"encoding/json"
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/models"
)

//go:embed testdata/training/*.npz
var training embed.FS

// stored is one case: a network, what it is given, and PyTorch's answers (testdata/training_cases.py says what each is).
type stored struct {
	name    string
	model   []byte
	Batches []batchOf `json:"batches"`
	Terms   []struct {
		Output         string  `json:"output"`
		Kind           string  `json:"kind"`
		Weight         float32 `json:"weight"`
		Smooth         float32 `json:"smooth"`
		PositiveWeight float32 `json:"positive_weight"`
	} `json:"terms"`
	// TorchError is PyTorch's own float32 error of each answer: root mean square, over the answer's.
	TorchError map[string]float64 `json:"torch_error"`
	// Scale is what the largest 16-bit value of an answer stands for, and Every which elements of it are stored.
	Scale map[string]float64 `json:"scale"`
	Every map[string]int     `json:"every"`
	// TrainingOnly marks a file that other engines would not run as inference: one exported as it trains.
	TrainingOnly bool `json:"training_only"`
	// Course is a sequence of updates.
	Course *struct {
		AdamW struct {
			Beta1       float64 `json:"beta1"`
			Beta2       float64 `json:"beta2"`
			Epsilon     float64 `json:"epsilon"`
			WeightDecay float64 `json:"weight_decay"`
			ClipNorm    float64 `json:"clip_norm"`
		} `json:"adamw"`
		Updates []struct {
			Batches []int   `json:"batches"`
			Rate    float64 `json:"rate"`
		} `json:"updates"`
	} `json:"course"`
	answers map[string][]float32
}

type batchOf struct {
	Inputs       []*filling `json:"inputs"`
	Targets      []*filling `json:"targets"`
	Weights      []*filling `json:"weights"`
	Mixed        []*filling `json:"mixed"`
	MixedWeights []*filling `json:"mixed_weights"`
	Lambda       float32    `json:"lambda"`
}

func (f *filling) UnmarshalJSON(b []byte) error {
	type plain filling
	p := plain{Scale: 1}
	err := json.Unmarshal(b, &p)
	*f = filling(p)
	return err
}

func fillAll(fs []*filling) [][]float32 {
	if fs == nil {
		return nil
	}
	all := make([][]float32, len(fs))
	for i, f := range fs {
		if f != nil {
			all[i] = f.values()
		}
	}
	return all
}

func (b *batchOf) batch() models.Batch {
	return models.Batch{Inputs: fillAll(b.Inputs), Targets: fillAll(b.Targets), Weights: fillAll(b.Weights),
		Mixed: fillAll(b.Mixed), MixedWeights: fillAll(b.MixedWeights), Lambda: b.Lambda}
}

// cases returns the names of the stored cases that begin with one of the prefixes, or of all.
func cases(t testing.TB, prefixes ...string) []string {
	t.Helper()
	entries, err := fs.ReadDir(training, "testdata/training")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".npz")
		if len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			names = append(names, name)
		}
	}
	return names
}

func load(t testing.TB, name string) *stored {
	t.Helper()
	file, err := training.ReadFile("testdata/training/" + name + ".npz")
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	c := &stored{name: name, answers: map[string][]float32{}}
	arrays := map[string]*npy.Array{}
	for _, member := range archive.File {
		r, err := member.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		switch path.Ext(member.Name) {
		case ".onnx":
			c.model = b
		case ".json":
			err = json.Unmarshal(b, c)
		case ".npy":
			arrays[strings.TrimSuffix(member.Name, ".npy")], err = npy.Decode(b)
		}
		if err != nil {
			t.Fatalf("%s: %s: %v", name, member.Name, err)
		}
	}
	for key, a := range arrays {
		if a.DType == npy.Int16 {
			v := make([]float32, len(a.Data)/2)
			for i := range v {
				v[i] = float32(float64(int16(binary.LittleEndian.Uint16(a.Data[2*i:]))) / math.MaxInt16 * c.Scale[key])
			}
			c.answers[key] = v
			continue
		}
		c.answers[key] = floats(a)
	}
	return c
}

func floats(a *npy.Array) []float32 {
	v := make([]float32, len(a.Data)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(a.Data[4*i:]))
	}
	return v
}

func (c *stored) loss() models.Loss {
	var l models.Loss
	for _, t := range c.Terms {
		l.Terms = append(l.Terms, models.LossTerm{Output: t.Output, Kind: models.LossKind(t.Kind), Weight: t.Weight, Smooth: t.Smooth, PositiveWeight: t.PositiveWeight})
	}
	return l
}

func (c *stored) options() models.TrainingOptions {
	o := models.TrainingOptions{Loss: c.loss(), Threads: 2, Seed: 1}
	for _, f := range c.Batches[0].Inputs {
		o.InputShapes = append(o.InputShapes, f.Shape)
	}
	if c.Course != nil {
		a := c.Course.AdamW
		o.AdamW = models.AdamW{Beta1: a.Beta1, Beta2: a.Beta2, Epsilon: a.Epsilon, WeightDecay: a.WeightDecay, ClipNorm: a.ClipNorm}
	}
	return o
}

// keys returns what follows a prefix in the answers' names, sorted.
func (c *stored) keys(prefix string) []string {
	var keys []string
	for k := range c.answers {
		if rest, ok := strings.CutPrefix(k, prefix); ok {
			keys = append(keys, rest)
		}
	}
	slices.Sort(keys)
	return keys
}

// The largest errors allowed, root mean square over the answer's own. Engines add in other orders than PyTorch, whose
// own float32 error is stored beside each answer: an engine may have twenty times that, and at least
//
//   - exact: a hundred times float32's step, on answers stored in full;
//   - rough: on answers of whole networks and others stored in 16 bits, which cost up to 5e-5 themselves. The generator
//     chose seeds by which no value stands so near a ReLU's or a maximum's edge that another order of adding moves it over. Where one does (on
//     another batch, say), a single flip moves gradients by up to a few percent, in PyTorch as elsewhere.
const (
	exact = 1e-5
	rough = 2e-4
)

func (c *stored) allowed(key string) float64 {
	least := exact
	if c.Scale[key] != 0 || strings.HasPrefix(c.name, "net_") {
		least = rough
	}
	return max(least, 20*c.TorchError[key])
}

// compare reports where got is not the stored answer. A gradient's error is measured against its own size or a hundredth
// of all gradients' together, if that is more: a convolution's bias before a normalisation has a gradient of
// rounding errors alone.
func (c *stored) compare(t *testing.T, key string, got []float32) {
	t.Helper()
	want, ok := c.answers[key]
	if !ok {
		t.Fatalf("%s: no answer %q is stored", c.name, key)
	}
	if n := c.Every[key]; n > 1 {
		kept := make([]float32, 0, len(want))
		for i := 0; i < len(got); i += n {
			kept = append(kept, got[i])
		}
		got = kept
	}
	if len(got) != len(want) {
		t.Errorf("%s has %d values, want %d", key, len(got), len(want))
		return
	}
	size := norm(want)
	if strings.HasPrefix(key, "grad.") {
		all := 0.0
		for _, k := range c.keys("grad.") {
			all = math.Hypot(all, norm(c.answers["grad."+k]))
		}
		size = max(size, all/100)
	}
	diff := make([]float32, len(want))
	for i := range diff {
		diff[i] = got[i] - want[i]
	}
	if e := norm(diff) / max(size, 1e-30); !(e <= c.allowed(key)) {
		at := worst(got, want)
		t.Errorf("%s is off by %.2g of its size, at most %.2g is allowed (PyTorch in float32: %.2g); the worst of %d values is number %d: %g, want %g",
			key, e, c.allowed(key), c.TorchError[key], len(want), at, got[at], want[at])
	}
}

func norm(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

// worst is where two slices differ most, or the first NaN.
func worst(a, b []float32) int {
	at, most := 0, -1.0
	for i := range a {
		d := math.Abs(float64(a[i]) - float64(b[i]))
		if math.IsNaN(d) {
			return i
		}
		if d > most {
			at, most = i, d
		}
	}
	return at
}
