package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/gorgonia"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/augment"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/score"
	"github.com/cspine/cspine/transforms/shard"
	"github.com/cspine/cspine/transforms/shard/shardtest"
)

// edge is the side of the tests' slices, cropBytes the size of their crops.
const (
	edge      = 8
	cropBytes = classify.Positions * classify.Planes * edge * edge
)

// perceptron is a classifier of such crops: one layer, and of type 2 a second one over all slices' logits.
func perceptron(t testing.TB, kind int) []byte {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(kind), 3))
	weights := func(n int, by float64) []float32 {
		w := make([]float32, n)
		for i := range w {
			w[i] = float32(rng.NormFloat64() * by)
		}
		return w
	}
	count, pixels := classify.Positions, classify.Planes*edge*edge
	if kind == classify.Patient {
		count *= volume.Levels
	}
	b := onnx.NewBuilder("perceptron")
	crops := b.Input(classify.InputName, onnx.Fixed(1, count, classify.Planes, edge, edge))
	x := b.Node("Reshape", "pixels", []string{crops, b.Ints("pixels.shape", -1, int64(pixels))})
	x = b.Node("MatMul", "logit", []string{x, b.Floats("logit.weight", weights(pixels, 0.01), pixels, 1)})
	x = b.Node("Add", "biased", []string{x, b.Floats("logit.bias", make([]float32, 1), 1)})
	x = b.Node("Reshape", classify.SlicesName, []string{x, b.Ints("slices.shape", -1, int64(count))})
	b.Output(x, onnx.Fixed(1, count))
	if kind == classify.Patient {
		x = b.Node("MatMul", classify.PatientName, []string{x, b.Floats("patient.weight", weights(count, 0.05), count, 1)})
		b.Output(x, onnx.Fixed(1, 1))
	}
	file, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// brokenNeck makes a study's crops: fractured ones are brighter in half of their planes. C3 of every fourth study was not found, and C5's label
// of every fifth is not known.
func brokenNeck(i int) []shard.Sample {
	rng := rand.New(rand.NewPCG(uint64(i), 77))
	uid := fmt.Sprintf("1.2.%02d", i)
	patient := new(int)
	var rows []shard.Sample
	for level := range volume.Levels {
		label := 0
		if rng.Float64() < 0.2 {
			label, *patient = 1, 1
		}
		s := shard.Sample{StudyUID: uid, Fold: i % 3, Vertebra: volume.LevelName(level), Shape: []int{classify.Positions, classify.Planes, edge, edge}, DType: "uint8",
			Label: &label, PatientLabel: patient, MaskDigest: "m", CropDigest: "c", SegmenterDigest: "s", Tensor: make([]byte, cropBytes)}
		for k := range s.Tensor {
			s.Tensor[k] = byte(80 + 60*label*(k/(edge*edge)%2) + rng.IntN(60))
		}
		if level == 4 && i%5 == 0 {
			s.Label = nil
		}
		if level != 2 || i%4 != 0 {
			rows = append(rows, s)
		}
	}
	return rows
}

// calibrated is the classifier that training starts from: calibrated, as one that is trained on may be.
func calibrated(t testing.TB, kind int) []byte {
	t.Helper()
	file, err := onnx.WithMetadata(perceptron(t, kind), map[string]string{classify.CalibrationKey: `[{"scale":3,"shift":1}]`, "cspine.network": "perceptron"})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// publishCrops puts a data set of crops into a store, and the classifier that training starts from. It returns the data set's name.
func publishCrops(t testing.TB, location string, studies, kind int) string {
	t.Helper()
	store, err := artifacts.Open(t.Context(), location, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var rows [2][]shard.Sample
	for i := range studies {
		rows[i%2] = append(rows[i%2], brokenNeck(i)...)
	}
	shardtest.Crops(t, store, "bones", rows[:]...)
	if _, err := store.Put(t.Context(), artifacts.Content{Data: calibrated(t, kind)}); err != nil {
		t.Fatal(err)
	}
	return "bones"
}

func classifierConfig() ClassifierConfig {
	c := DefaultClassifier()
	c.Batch, c.Epochs, c.Optimizer.Rate, c.Schedule.Warmup = 4, 3, 2e-3, 3
	c.Augment.Slices = augment.Slices{FlipColumns: 0.5, ShuffleSlices: 0.2, ShuffleBones: 0.2}
	c.Average = AverageConfig{Decay: 0.9, Every: 2}
	c.Checkpoint = CheckpointConfig{}
	return c
}

func classifierTask(t testing.TB, kind, fold int, c ClassifierConfig) Task {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return Task{Stage: ClassifierStage, Model: artifacts.DigestOf(calibrated(t, kind)).String(), Fold: fold, Seed: int(c.Seed), Config: string(text)}
}

func noteOf(t testing.TB, store *artifacts.Store, row artifacts.Row) (n Note) {
	t.Helper()
	recipe, err := artifacts.ParseDigest(row.Recipe)
	if err != nil {
		t.Fatal(err)
	}
	record, ok, err := store.Lookup(t.Context(), recipe)
	if err != nil || !ok {
		t.Fatal(err)
	}
	if err := json.Unmarshal(record.Note, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestClassifiersOfBothTypesLearn(t *testing.T) {
	for _, kind := range []int{classify.Vertebra, classify.Patient} {
		t.Run(fmt.Sprint("type ", kind), func(t *testing.T) {
			dir := t.TempDir()
			f := &DoFn{Site: transforms.Site{Store: dir}, Dataset: publishCrops(t, dir, 24, kind), Engine: "gorgonia", Run: "r"}
			c := classifierConfig()
			c.Epochs = 12
			if kind == classify.Patient {
				c.Batch, c.Epochs = 2, 30
			}
			row := trainOK(t, f, classifierTask(t, kind, 0, c))
			store := open(t, dir)
			lines, err := store.GetNamed(t.Context(), "runs/r/fold0-seed1/"+LinesFile)
			if err != nil {
				t.Fatal(err)
			}
			history, err := ReadLines(lines)
			if err != nil {
				t.Fatal(err)
			}
			first, note := history[0].Validation, noteOf(t, store, row)
			best := note.Validation
			if best.Studies != 8 || !(best.LogLoss < first.LogLoss/1.3) || !(best.Loss < first.Loss/1.5) || !(best.VertebraAUC > 0.95) {
				t.Errorf("first epoch: %v, best: %v", first, best)
			}
			for _, e := range history {
				if e.Validation.LogLoss < best.LogLoss {
					t.Errorf("epoch %d is better than %d, the best", e.Epoch, note.BestEpoch)
				}
			}
			if want := map[int]int{classify.Vertebra: 3, classify.Patient: 0}[kind]; note.Train != 16 || note.Unlabelled != want {
				t.Errorf("%d studies, %d samples left out", note.Train, note.Unlabelled)
			}
		})
	}
}

// What a training says of held-out studies can be scored, and is what its record says.
func TestHeldOutAnswersLieBesideTheModel(t *testing.T) {
	dir := t.TempDir()
	f := &DoFn{Site: transforms.Site{Store: dir}, Dataset: publishCrops(t, dir, 15, classify.Vertebra), Engine: "gorgonia", Run: "first"}
	row := trainOK(t, f, classifierTask(t, classify.Vertebra, 1, classifierConfig()))
	store := open(t, dir)
	check := func(run string) {
		t.Helper()
		held, err := score.ReadHeldOut(t.Context(), store, run, score.HeldOutOptions{Dataset: "bones"})
		if err != nil {
			t.Fatal(err)
		}
		rows, gaps := score.Join(held.Answers, held.Truth)
		want := noteOf(t, store, row).Validation
		if got := score.WeightedLogLoss(rows, score.ByRow); len(rows) != 5 || math.Abs(got-float64(want.LogLoss)) > 1e-12 || gaps != (score.Gaps{}) {
			t.Errorf("%d studies of log loss %g, want %v; gaps %+v", len(rows), got, want, gaps)
		}
		for _, r := range rows { // C3 of study 04 was not found; C5's label of others is not known, but answered
			if missing := math.IsNaN(r.P[2]); missing != (r.Study == "1.2.04") || math.IsNaN(r.P[4]) || math.IsNaN(r.P[classify.PatientTarget]) {
				t.Errorf("study %s is answered %v", r.Study, r.P)
			}
		}
	}
	check("first")
	file, err := store.GetNamed(t.Context(), "runs/first/fold1-seed1/classifier.onnx")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := classify.Describe(file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := load.OpenCrops(t.Context(), store, "bones", load.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !spec.PriorKnown || spec.Prior != data.Choose(load.AllBut(1)).Prior() || spec.Calibration != [classify.Targets]classify.Calibration{} {
		t.Errorf("the model says %+v", spec)
	}
	properties, err := onnx.Metadata(file)
	if err != nil || properties["cspine.network"] != "perceptron" || properties["cspine.log_loss"] == "" || properties["cspine.training"] != row.Recipe {
		t.Errorf("%v, %v", properties, err)
	}
	// A run that finds all known publishes them too.
	f.Run = "second"
	if again := trainOK(t, f, classifierTask(t, classify.Vertebra, 1, classifierConfig())); !again.Hit {
		t.Fatalf("%+v", again)
	}
	check("second")
	// Without held-out studies there is nothing to answer.
	row = trainOK(t, f, classifierTask(t, classify.Vertebra, NoFold, classifierConfig()))
	if n := noteOf(t, store, row); n.Files != nil || n.Validation != nil || n.Train != 15 {
		t.Errorf("%+v", n)
	}
}

// An interrupted training of a classifier ends like an undisturbed one: the model, and the answers for held-out studies, which nothing but the best
// weights is left of.
func TestAnInterruptedClassifierGoesOn(t *testing.T) {
	for kind, stops := range map[int][]int{classify.Vertebra: {4, 18}, classify.Patient: {18}} {
		c := classifierConfig()
		c.Epochs, c.Optimizer.Rate = 2, 1 // the first epoch is the best
		if kind == classify.Patient {
			c.Batch = 1
		}
		run := func(stop int) (model, answers string) {
			dir := t.TempDir()
			f := &DoFn{Site: transforms.Site{Store: dir}, Dataset: publishCrops(t, dir, 15, kind), Run: "r"}
			ctx, cancel := context.WithCancel(t.Context())
			release := EndWith(ctx)
			batches := 0
			useEngine(t, countingEngine{gorgonia.New(), func() {
				if batches++; batches == stop {
					cancel()
				}
			}})
			row := trainTask(t, f, classifierTask(t, kind, 0, c))
			release()
			if stop > 0 {
				if row.Reason != string(CodeInterrupted) {
					t.Fatalf("%+v", row)
				}
				row = trainOK(t, f, classifierTask(t, kind, 0, c))
			}
			text, err := open(t, dir).GetNamed(t.Context(), "runs/r/fold0-seed1/"+score.HeldOutFile)
			if err != nil {
				t.Fatal(err)
			}
			return row.Digest, string(text)
		}
		model, answers := run(0)
		for _, stop := range stops {
			if m, a := run(stop); m != model || a != answers {
				t.Errorf("type %d, stopped at batch %d: model %s, want %s; answers differ: %t", kind, stop, m, model, a != answers)
			}
		}
	}
}

func TestWhatIsNoClassifierOrNoCropIsRefused(t *testing.T) {
	dir := t.TempDir()
	publishCrops(t, dir, 15, classify.Vertebra)
	publish(t, dir, 15)
	whole := classifierTask(t, classify.Vertebra, 0, classifierConfig())
	segmenter, settings := whole, whole
	segmenter.Model, settings.Config = artifacts.DigestOf(tiny).String(), `{"Loss":{"Patient":2}}`
	odd := perceptron(t, classify.Vertebra)
	for name, k := range map[string]struct {
		dataset string
		task    Task
		says    string
	}{
		"volumes":            {"neck", whole, "data set neck is for segmentation, not for crops"},
		"crops":              {"bones", task(t, 0, testConfig()), "data set bones is for crops, not for segmentation"},
		"a segmenter":        {"bones", segmenter, "a classifier has the input [N, 15, 6, H, W]"},
		"an empty fold":      {"bones", classifierTask(t, classify.Vertebra, 9, classifierConfig()), "no study with a known label of data set bones is in fold 9"},
		"no stage":           {"bones", Task{Stage: "reader", Model: whole.Model, Seed: 1, Config: "{}"}, `no stage "reader"`},
		"impossible setting": {"bones", settings, "Loss.Patient is 2"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &DoFn{Site: transforms.Site{Store: dir}, Dataset: k.dataset, Engine: "gorgonia", Run: "r"}
			if row := trainTask(t, f, k.task); row.Verdict != transforms.Refused || !strings.Contains(row.Detail, k.says) {
				t.Errorf("%+v", row)
			}
		})
	}
	spec, err := classify.Describe(odd)
	if err != nil {
		t.Fatal(err)
	}
	stage := Classifier(classifierConfig(), spec)
	info, err := models.Info(odd)
	if err == nil {
		_, err = stage.Ports(info, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, one := range map[string]*load.Case{
		"another edge": {Study: "1.2", Crops: [][]uint8{make([]uint8, 4*cropBytes)}, Labels: []int8{0}, Edge: 2 * edge},
		"a patient":    {Study: "1.2", Level: -1, Crops: make([][]uint8, 7), Labels: make([]int8, 7), Edge: edge},
		"a cut crop":   {Study: "1.2", Crops: [][]uint8{make([]uint8, 5)}, Labels: []int8{0}, Edge: edge},
	} {
		var refused *models.Error
		if _, err := stage.Fill([]*load.Case{one}, Mixing{}); !errors.As(err, &refused) || refused.Code != CodeSamples {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBatchesOfCrops(t *testing.T) {
	crop := func(v uint8) []uint8 { return bytes.Repeat([]uint8{v}, cropBytes) }
	patient := func(labels [volume.Levels]int8, overall int8, crops ...[]uint8) *load.Case {
		return &load.Case{Level: -1, Crops: append(crops, make([][]uint8, volume.Levels-len(crops))...), Edge: edge, Labels: labels[:], Patient: overall}
	}
	a := patient([volume.Levels]int8{1, 0, 1, -1}, 1, crop(255), crop(51), nil, crop(0)) // the third was not found, whatever its label
	b := patient([volume.Levels]int8{0, 1, 0, 0}, load.Unknown, nil, crop(102), crop(255), crop(255))
	stage := Classifier(classifierConfig(), classify.Spec{Type: classify.Patient, Height: edge, Width: edge})
	info, err := models.Info(perceptron(t, classify.Patient))
	if err != nil {
		t.Fatal(err)
	}
	ports, err := stage.Ports(info, 2)
	if err != nil {
		t.Fatal(err)
	}
	if want := []models.LossTerm{{Output: "slices", Kind: models.BCELogits, Weight: 15. / 16, PositiveWeight: 2}, {Output: "patient", Kind: models.BCELogits, Weight: 1. / 16, PositiveWeight: 2}}; !slices.Equal(ports.Loss.Terms, want) {
		t.Errorf("loss: %+v", ports.Loss.Terms)
	}
	// firsts are the first values of each crop, or slice.
	firsts := func(all []float32, of int) (v []float32) {
		for i := 0; i < len(all); i += of {
			for _, x := range all[i : i+of] {
				if x != all[i] {
					t.Fatal("a vertebra's values differ")
				}
			}
			v = append(v, all[i])
		}
		return v
	}
	check := func(name string, got, want []float32) {
		t.Helper()
		if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-6)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	plain, err := stage.Fill([]*load.Case{a, b}, Mixing{})
	if err != nil {
		t.Fatal(err)
	}
	check("inputs", firsts(plain.Inputs[0], cropBytes), []float32{1, .2, 0, 0, 0, 0, 0, 0, .4, 1, 1, 0, 0, 0})
	check("targets", firsts(plain.Targets[0], classify.Positions), []float32{1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0})
	check("weights", firsts(plain.Weights[0], classify.Positions), []float32{1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0})
	check("patients", plain.Targets[1], []float32{1, 0})
	check("patients' weights", plain.Weights[1], []float32{1, 0})
	if plain.Mixed != nil || plain.MixedWeights != nil {
		t.Error("an unmixed batch has second targets")
	}
	mixed, err := stage.Fill([]*load.Case{a, b}, Mixing{Lambda: 0.75, Order: []int{1, 0}})
	if err != nil {
		t.Fatal(err)
	}
	check("mixed inputs", firsts(mixed.Inputs[0], cropBytes), []float32{.75, .25, .25, .25, 0, 0, 0, .25, .35, .75, .75, 0, 0, 0})
	check("first weights", firsts(mixed.Weights[0], classify.Positions), []float32{1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0})
	check("second targets", firsts(mixed.Mixed[0], classify.Positions), []float32{0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	check("second weights", firsts(mixed.MixedWeights[0], classify.Positions), []float32{0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0})
	check("second patients", mixed.Mixed[1], []float32{0, 1})
	check("second patients' weights", mixed.MixedWeights[1], []float32{0, 1})
}

// numbers is what PyTorch and numpy say; see testdata/make_classifier.py.
type numbers struct {
	Loss    float64
	LogLoss float64 `json:"log_loss"`
	AUC     [Levels]score.Figure
	Patient score.Figure `json:"patient_auc"`
	All     score.Figure `json:"vertebra_auc"`
	Answers [][]float64  // -1 is none
}

func TestHeldOutStudiesAreMeasuredAsTheReferenceSays(t *testing.T) {
	var ref struct {
		Prior          [classify.Targets]float64
		Labels         [][]int8
		Patient        []int8
		Found          [][]bool
		Logits         [][][]float32
		Head           []float32
		Vertebra, Both numbers
	}
	file, err := os.ReadFile("testdata/classifier.json")
	if err == nil {
		err = json.Unmarshal(file, &ref)
	}
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[int]numbers{classify.Vertebra: ref.Vertebra, classify.Patient: ref.Both} {
		spec := classify.Spec{Type: kind, Height: edge, Width: edge, Prior: ref.Prior, PriorKnown: true}
		meter := Classifier(DefaultClassifier(), spec).Meter(1)
		for i, labels := range ref.Labels {
			one := load.Case{Study: fmt.Sprint(i), Level: -1, Crops: make([][]uint8, volume.Levels), Labels: labels, Patient: ref.Patient[i]}
			for level, found := range ref.Found[i] {
				if found {
					one.Crops[level] = []uint8{}
				}
			}
			cases, outputs := []*load.Case{&one}, [][]float32{slices.Concat(ref.Logits[i]...), {ref.Head[i], 0}}
			if kind == classify.Vertebra {
				cases, outputs[0] = nil, nil
				for level, crop := range one.Crops {
					if crop != nil {
						cases = append(cases, &load.Case{Study: one.Study, Level: level, Crops: one.Crops[level : level+1], Labels: labels[level : level+1], Patient: one.Patient})
						outputs[0] = append(outputs[0], ref.Logits[i][level]...)
					}
				}
			}
			outputs[0] = append(outputs[0], make([]float32, 100)...) // of samples that do not count
			if err := meter.Add(cases, outputs); err != nil {
				t.Fatal(err)
			}
		}
		v, err := meter.Validation()
		if err != nil {
			t.Fatal(err)
		}
		near := cmpopts.EquateApprox(0, 1e-6) // logits are float32
		got := numbers{Loss: v.Loss, LogLoss: float64(v.LogLoss), AUC: v.AUC, Patient: v.PatientAUC, All: v.VertebraAUC}
		for _, j := range v.Judged {
			p := slices.Clone(j.P[:])
			for i := range p {
				if math.IsNaN(p[i]) {
					p[i] = -1
				}
			}
			got.Answers = append(got.Answers, p)
		}
		if diff := cmp.Diff(want, got, near, sameFigures); diff != "" || v.Studies != len(ref.Labels) {
			t.Errorf("type %d, %d studies:\n%s", kind, v.Studies, diff)
		}
	}
}

func TestAHeldOutVertebraCountsOnce(t *testing.T) {
	meter := Classifier(DefaultClassifier(), classify.Spec{Type: classify.Vertebra, Height: edge, Width: edge}).Meter(1)
	one := &load.Case{Study: "1.2", Crops: [][]uint8{{}}, Labels: []int8{0}}
	if err := meter.Add([]*load.Case{one, one}, [][]float32{make([]float32, 2*classify.Positions)}); err == nil || !strings.Contains(err.Error(), "study 1.2 has C1 twice") {
		t.Error(err)
	}
}

func TestTheLeastLogLossIsTheBest(t *testing.T) {
	of := func(loss, logLoss float64) *Validation {
		return &Validation{Loss: loss, ClassifierScore: &ClassifierScore{LogLoss: score.Figure(logLoss)}}
	}
	if !of(2, 0.3).Better(of(1, 0.4)) || of(1, 0.4).Better(of(2, 0.3)) || !of(1, 0.3).Better(of(2, 0.3)) || of(1, 0.3).Better(of(1, 0.3)) {
		t.Error("the order is wrong")
	}
}

func TestImpossibleClassifierSettingsAreNamed(t *testing.T) {
	for want, change := range map[string]func(*ClassifierConfig){
		"Batch is 0":               func(c *ClassifierConfig) { c.Batch = 0 },
		"Loss.PositiveWeight is 0": func(c *ClassifierConfig) { c.Loss.PositiveWeight = 0 },
		"Loss.Patient is 1.5":      func(c *ClassifierConfig) { c.Loss.Patient = 1.5 },
		"Cutout is -1":             func(c *ClassifierConfig) { c.Augment.Cutout = -1 },
	} {
		c := DefaultClassifier()
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := DefaultClassifier().Check(); err != nil {
		t.Error(err)
	}
}
