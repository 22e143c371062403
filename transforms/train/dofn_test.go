package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/gorgonia"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/score"
	"github.com/cspine/cspine/transforms/shard"
	"github.com/cspine/cspine/transforms/shard/shardtest"
)

// publish puts a data set of small phantoms into a store, and the model that training starts from. It returns the data set's name.
func publish(t testing.TB, location string, studies int) string {
	t.Helper()
	store, err := artifacts.Open(t.Context(), location, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var rows []shard.Segmentation
	for i := range studies {
		s := phantom(uint64(i), 0)
		row := shard.Segmentation{StudyUID: fmt.Sprintf("1.2.%02d", i), Fold: i % 3, Shape: s.Shape[:], DType: "uint8", SpacingMM: [3]float64{1, 1, 1},
			VolumeDigest: "v", LabelsDigest: "l", SourceDigest: "s", Volume: s.Volume, Labels: s.Labels}
		for _, l := range s.Labels {
			row.Voxels[l]++
		}
		rows = append(rows, row)
	}
	shardtest.Segmentations(t, store, "neck", rows[:studies/2], rows[studies/2:])
	if _, err := store.Put(t.Context(), artifacts.Content{Data: tiny}); err != nil {
		t.Fatal(err)
	}
	return "neck"
}

func task(t testing.TB, fold int, c SegmenterConfig) Task {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return Task{Stage: SegmenterStage, Model: artifacts.DigestOf(tiny).String(), Fold: fold, Seed: int(c.Seed), Config: string(text)}
}

// trainTask runs a task as a pipeline does, and returns what it reports.
func trainTask(t testing.TB, f *DoFn, task Task) artifacts.Row {
	t.Helper()
	var rows []artifacts.Row
	if err := f.ProcessElement(t.Context(), task, func(r artifacts.Row) { rows = append(rows, r) }); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1 {
		t.Fatalf("%d rows: %+v", len(rows), rows)
	}
	return rows[0]
}

func trainOK(t testing.TB, f *DoFn, task Task) artifacts.Row {
	t.Helper()
	row := trainTask(t, f, task)
	if row.Verdict != transforms.OK {
		t.Fatalf("%+v", row)
	}
	return row
}

func useEngine(t testing.TB, e models.TrainingEngine) {
	before := findEngine
	t.Cleanup(func() { findEngine = before })
	findEngine = func(string) (models.TrainingEngine, error) { return e, nil }
}

func open(t testing.TB, location string) *artifacts.Store {
	t.Helper()
	store, err := artifacts.Open(t.Context(), location, &artifacts.Options{MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func get(t testing.TB, store *artifacts.Store, digest string) []byte {
	t.Helper()
	d, err := artifacts.ParseDigest(digest)
	if err != nil {
		t.Fatal(err)
	}
	b, err := store.Get(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestATrainingMakesAModelWithItsProvenance(t *testing.T) {
	dir := t.TempDir()
	f := &DoFn{Site: transforms.Site{Store: dir}, Dataset: publish(t, dir, 15), Engine: "gorgonia", Run: "first", Logs: filepath.Join(dir, "logs")}
	c := testConfig()
	c.Epochs = 3
	row := trainOK(t, f, task(t, 1, c))
	store := open(t, dir)
	file := get(t, store, row.Digest)
	properties, err := onnx.Metadata(file)
	if err != nil {
		t.Fatal(err)
	}
	config, _ := artifacts.DigestOfJSON(c.canonical())
	if properties["cspine.dataset"] != "neck" || properties["cspine.fold"] != "1" || properties["cspine.config"] != config.String() ||
		properties["cspine.initial_model"] != artifacts.DigestOf(tiny).String() || properties["cspine.training"] != row.Recipe || properties["cspine.dice"] == "" {
		t.Errorf("properties: %v", properties)
	}
	if bytes.Equal(file, tiny) {
		t.Error("the weights are the initial ones")
	}
	key := "runs/first/fold1-seed1/"
	if published, err := store.GetNamed(t.Context(), key+"segmenter.onnx"); err != nil || !bytes.Equal(published, file) {
		t.Errorf("published model: %v", err)
	}
	recipe, _ := artifacts.ParseDigest(row.Recipe)
	record, ok, err := store.Lookup(t.Context(), recipe)
	if err != nil || !ok {
		t.Fatal(err)
	}
	var note Note
	if err := json.Unmarshal(record.Note, &note); err != nil {
		t.Fatal(err)
	}
	if note.Fold != 1 || note.Train != 10 || note.Epochs != 3 || note.Validation == nil || note.Validation.Studies != 5 {
		t.Errorf("note: %+v", note)
	}
	table, err := store.GetNamed(t.Context(), key+score.HeldOutDiceFile)
	if err != nil {
		t.Fatal(err)
	}
	held, err := score.ReadDice(bytes.NewReader(table))
	if err != nil || len(held) != 5 {
		t.Fatalf("%v, %v", held, err)
	}
	mean := 0.0
	for _, s := range held {
		mean += s.Mean / 5
	}
	if math.Abs(mean-note.Validation.Mean) > 1e-5 {
		t.Errorf("the held-out studies' dice is %g in the mean, the record says %g", mean, note.Validation.Mean)
	}
	for _, name := range []string{LinesFile, EventsFile, CurvesFile} {
		stored, err := store.GetNamed(t.Context(), key+name)
		if err != nil {
			t.Error(err)
		}
		if local, err := os.ReadFile(filepath.Join(dir, "logs", "fold1-seed1", name)); err != nil || !bytes.Equal(local, stored) {
			t.Errorf("%s: the local file differs: %v", name, err)
		}
	}
	best, err := Decode(get(t, store, note.Best), row.Recipe)
	if err != nil {
		t.Fatal(err)
	}
	rebuilt, err := onnx.WithWeights(tiny, best.weights())
	if err != nil {
		t.Fatal(err)
	}
	if rebuilt, err = onnx.WithMetadata(rebuilt, properties); err != nil || !bytes.Equal(rebuilt, file) {
		t.Errorf("the best checkpoint's weights are not the model's: %v", err)
	}
}

func TestAKnownTrainingIsNotRepeated(t *testing.T) {
	dir := t.TempDir()
	f := &DoFn{Site: transforms.Site{Store: dir}, Dataset: publish(t, dir, 15), Run: "first"}
	batches := 0
	useEngine(t, countingEngine{gorgonia.New(), func() { batches++ }})
	c := testConfig()
	c.Epochs = 1
	first := trainOK(t, f, task(t, 0, c))
	made := batches
	f.Run = "second"
	c.Checkpoint = CheckpointConfig{Steps: 1}
	again := trainOK(t, f, task(t, 0, c))
	if batches != made || again.Digest != first.Digest || !again.Hit || again.Why != "cached" {
		t.Errorf("trained again: %+v", again)
	}
	if _, err := open(t, dir).GetNamed(t.Context(), "runs/second/fold0-seed1/"+LinesFile); err != nil {
		t.Errorf("the second run has no records: %v", err)
	}
	for name, change := range map[string]func(*DoFn, *SegmenterConfig, *int){
		"another fold":    func(_ *DoFn, _ *SegmenterConfig, fold *int) { *fold = 1 },
		"no fold":         func(_ *DoFn, _ *SegmenterConfig, fold *int) { *fold = NoFold },
		"another seed":    func(_ *DoFn, c *SegmenterConfig, _ *int) { c.Seed = 2 },
		"another setting": func(_ *DoFn, c *SegmenterConfig, _ *int) { c.Mixup = 0 },
	} {
		g, c, fold := *f, c, 0
		change(&g, &c, &fold)
		if row := trainOK(t, &g, task(t, fold, c)); row.Hit || row.Recipe == first.Recipe {
			t.Errorf("%s: not trained", name)
		}
	}
}

// countingEngine tells of each batch.
type countingEngine struct {
	models.TrainingEngine
	batch func()
}

func (e countingEngine) CompileTraining(ctx context.Context, model []byte, o models.TrainingOptions) (models.Trainer, error) {
	t, err := e.TrainingEngine.CompileTraining(ctx, model, o)
	return countingTrainer{t, e.batch}, err
}

type countingTrainer struct {
	models.Trainer
	batch func()
}

func (t countingTrainer) Gradients(ctx context.Context, b models.Batch) (float32, error) {
	t.batch()
	return t.Trainer.Gradients(ctx, b)
}

func TestOnlyTheLastAndTheBestCheckpointStay(t *testing.T) {
	dir := t.TempDir()
	f := &DoFn{Site: transforms.Site{Store: dir}, Dataset: publish(t, dir, 15), Engine: "gorgonia", Run: "r"}
	store := open(t, dir)
	objects := func() (n int) {
		for _, err := range store.Objects(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	before := objects()
	c := testConfig()
	c.Checkpoint.Steps = 1
	row := trainOK(t, f, task(t, 0, c))
	recipe, _ := artifacts.ParseDigest(row.Recipe)
	text, err := store.GetNamed(t.Context(), PointerKey(recipe))
	if err != nil {
		t.Fatal(err)
	}
	var p Pointer
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	want := before + 4 // model, metrics, dice of held-out studies, last
	if p.Best != p.Last {
		want++
	}
	if got := objects(); got != want {
		t.Errorf("%d objects, want %d", got, want)
	}
}

// An interrupted task reports so, and the next run of it goes on to the same model.
func TestAnInterruptedTaskGoesOn(t *testing.T) {
	c := testConfig()
	c.Checkpoint = CheckpointConfig{}
	fresh := t.TempDir()
	want := trainOK(t, &DoFn{Site: transforms.Site{Store: fresh}, Dataset: publish(t, fresh, 15), Engine: "gorgonia", Run: "r"}, task(t, 0, c))

	dir := t.TempDir()
	f := &DoFn{Site: transforms.Site{Store: dir}, Dataset: publish(t, dir, 15), Run: "r"}
	ctx, cancel := context.WithCancel(t.Context())
	release := EndWith(ctx)
	batches := 0
	useEngine(t, countingEngine{gorgonia.New(), func() {
		if batches++; batches == 7 {
			cancel()
		}
	}})
	row := trainTask(t, f, task(t, 0, c))
	release()
	if row.Verdict != transforms.Refused || row.Reason != string(CodeInterrupted) || !strings.Contains(row.Remedy, "goes on") {
		t.Fatalf("%+v", row)
	}
	var resumed *Progress
	stop := Observe(func(e Event) {
		if e.Resumed != nil {
			resumed = e.Resumed
		}
	})
	got := trainOK(t, f, task(t, 0, c))
	stop()
	if resumed == nil || resumed.Updates != 4 { // two batches an update
		t.Errorf("resumed at %+v", resumed)
	}
	if got.Digest != want.Digest {
		t.Errorf("the model is %s, an undisturbed training's %s", got.Digest, want.Digest)
	}
}

func TestADamagedCheckpointCostsWorkAndNoCorrectness(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and what runs side by side here does so in other tests, too")
	}
	c := testConfig()
	c.Epochs = 3
	for name, damage := range map[string]func(t *testing.T, store *artifacts.Store, key string, p Pointer){
		"the pointer is torn": func(t *testing.T, store *artifacts.Store, key string, _ Pointer) {
			if err := store.PutNamed(t.Context(), key, []byte(`{"last":`)); err != nil {
				t.Fatal(err)
			}
		},
		"the last is gone": func(t *testing.T, store *artifacts.Store, _ string, p Pointer) { remove(t, store, p.Last) },
		"the best is gone": func(t *testing.T, store *artifacts.Store, _ string, p Pointer) { remove(t, store, p.Best) },
		"both are gone": func(t *testing.T, store *artifacts.Store, _ string, p Pointer) {
			remove(t, store, p.Last)
			remove(t, store, p.Best)
		},
		"another training's": func(t *testing.T, store *artifacts.Store, key string, p Pointer) {
			ck, err := Decode(get(t, store, p.Last), strings.Split(key, "/")[1])
			if err != nil {
				t.Fatal(err)
			}
			file, err := ck.Encode("other", nil)
			if err != nil {
				t.Fatal(err)
			}
			out, err := store.Put(t.Context(), artifacts.Content{Data: file})
			if err != nil {
				t.Fatal(err)
			}
			p.Last = out.Digest.String()
			text, _ := json.Marshal(p)
			if err := store.PutNamed(t.Context(), key, text); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			fresh := t.TempDir()
			want := trainOK(t, &DoFn{Site: transforms.Site{Store: fresh}, Dataset: publish(t, fresh, 15), Engine: "gorgonia", Run: "r"}, task(t, 0, c))
			dir := t.TempDir()
			f := &DoFn{Site: transforms.Site{Store: dir}, Dataset: publish(t, dir, 15), Run: "r"}
			batches := 0
			ctx, cancel := context.WithCancel(t.Context())
			release := EndWith(ctx)
			useEngine(t, countingEngine{gorgonia.New(), func() {
				if batches++; batches == 7 {
					cancel()
				}
			}})
			trainTask(t, f, task(t, 0, c))
			release()
			store := open(t, dir)
			files, err := store.ListNamed(t.Context(), "trainings/")
			if err != nil || len(files) != 1 {
				t.Fatalf("%v, %v", files, err)
			}
			text, err := store.GetNamed(t.Context(), files[0].Key)
			if err != nil {
				t.Fatal(err)
			}
			var p Pointer
			if err := json.Unmarshal(text, &p); err != nil || p.Best == "" || p.Best == p.Last {
				t.Fatalf("%+v, %v", p, err)
			}
			damage(t, store, files[0].Key, p)
			if got := trainOK(t, f, task(t, 0, c)); got.Digest != want.Digest {
				t.Errorf("the model is %s, an undisturbed training's %s", got.Digest, want.Digest)
			}
		})
	}
}

func remove(t *testing.T, store *artifacts.Store, digest string) {
	d, err := artifacts.ParseDigest(digest)
	if err == nil {
		err = store.Remove(t.Context(), d)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestTasksThatCannotBeTrainedAreRefusedByName(t *testing.T) {
	dir := t.TempDir()
	publish(t, dir, 15)
	for code, change := range map[string]func(*DoFn, *SegmenterConfig, *int){
		models.CodeNoEngine:  func(f *DoFn, _ *SegmenterConfig, _ *int) { f.Engine = "abacus" },
		models.CodePrecision: func(_ *DoFn, c *SegmenterConfig, _ *int) { c.Precision = "bf16" },
		CodeSamples:          func(_ *DoFn, _ *SegmenterConfig, fold *int) { *fold = 9 },
	} {
		f, c, fold := DoFn{Site: transforms.Site{Store: dir}, Dataset: "neck", Engine: "gorgonia", Run: "r"}, testConfig(), 0
		change(&f, &c, &fold)
		row := trainTask(t, &f, task(t, fold, c))
		if row.Verdict != transforms.Refused || row.Reason != code {
			t.Errorf("want %s: %+v", code, row)
		}
	}
	f := DoFn{Site: transforms.Site{Store: dir}, Dataset: "absent", Engine: "gorgonia", Run: "r"}
	if row := trainTask(t, &f, task(t, 0, testConfig())); !strings.Contains(row.Detail, "prepare --task segmentation") {
		t.Errorf("%+v", row)
	}
}

// childStore names the store that a test's own process trains in.
const childStore = "CSPINE_TRAIN_CHILD_STORE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childStore); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

// childConfig saves a checkpoint after each step.
func childConfig() SegmenterConfig {
	c := testConfig()
	c.Checkpoint = CheckpointConfig{Steps: 1}
	return c
}

// child trains in this process, slowly enough to be killed.
func child(dir string) int {
	findEngine = func(string) (models.TrainingEngine, error) {
		return countingEngine{gorgonia.New(), func() { time.Sleep(5 * time.Millisecond) }}, nil
	}
	text, err := json.Marshal(childConfig())
	if err == nil {
		f := &DoFn{Site: transforms.Site{Store: dir}, Dataset: "neck", Run: "r"}
		err = f.ProcessElement(context.Background(), Task{Stage: SegmenterStage, Model: artifacts.DigestOf(tiny).String(), Fold: 0, Seed: 1, Config: string(text)}, func(r artifacts.Row) { fmt.Println(r.Verdict, r.Digest, r.Detail) })
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// A process that is killed (SIGKILL) again and again, each time a few steps further, ends with the model of one that was not.
func TestAKilledProcessGoesOnToTheSameModel(t *testing.T) {
	fresh := t.TempDir()
	want := trainOK(t, &DoFn{Site: transforms.Site{Store: fresh}, Dataset: publish(t, fresh, 15), Engine: "gorgonia", Run: "r"}, task(t, 0, childConfig()))
	dir := t.TempDir()
	publish(t, dir, 15)
	store := open(t, dir)
	updates := func() int64 {
		files, err := store.ListNamed(t.Context(), "trainings/")
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 0 {
			return 0
		}
		var p Pointer
		text, err := store.GetNamed(t.Context(), files[0].Key)
		if err == nil {
			err = json.Unmarshal(text, &p)
		}
		if err != nil {
			t.Fatal(err)
		}
		return p.Updates
	}
	kills := 0
	for _, target := range []int64{1, 2, 4, 5, 7} { // 8 updates in all
		c := exec.CommandContext(t.Context(), os.Args[0])
		c.Env = append(os.Environ(), childStore+"="+dir)
		var said bytes.Buffer
		c.Stdout, c.Stderr = &said, &said
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		for done := false; !done; {
			select {
			case err := <-ended:
				t.Logf("the process ended before it was killed: %v %s", err, said.String())
				done = true
			case <-time.After(time.Millisecond):
				if updates() >= target {
					if err := c.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
						t.Fatal(err)
					}
					<-ended
					kills++
					done = true
				}
			}
		}
	}
	if kills == 0 {
		t.Fatal("no process could be killed in time")
	}
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), childStore+"="+dir)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.Contains(string(out), want.Digest) {
		t.Errorf("after %d kills: %swant %s", kills, out, want.Digest)
	}
}

func TestCheckpointsAreReadBack(t *testing.T) {
	want := &Checkpoint{State: models.State{Steps: 3, Draws: 6, Weights: map[string][]float32{"w": {1, 2}, "mean": {3}},
		First: map[string][]float32{"w": {4, 5}}, Second: map[string][]float32{"w": {6, 7}}},
		Average: map[string][]float32{"w": {8, 9}, "mean": {10}}, Progress: Progress{Epoch: 1, Step: 1, Updates: 3, Draws: 6, LossSum: 0.1, History: course(1)}}
	file, err := want.Encode("recipe", map[string][]int{"w": {2, 1}, "mean": {1}, "unused": {5}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(file, "recipe")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	want.Average = nil
	if file, err = want.Encode("recipe", nil); err != nil {
		t.Fatal(err)
	}
	if got, err = Decode(file, "recipe"); err != nil || got.Average != nil || !slices.Equal(got.State.Weights["w"], []float32{1, 2}) {
		t.Errorf("without an average: %+v, %v", got, err)
	}
	if _, err := Decode(file, "other"); err == nil {
		t.Error("another recipe's checkpoint is taken")
	}
	if _, err := Decode(file[:len(file)-1], "recipe"); err == nil {
		t.Error("a cut file is taken")
	}
}

func TestALocalFileGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	if err := grow(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	follower, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer follower.Close()
	for _, text := range []string{"one two", "one two three"} {
		if err := grow(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	var b [20]byte
	if n, _ := follower.Read(b[:]); string(b[:n]) != "one two three" {
		t.Errorf("who has it open reads %q", b[:n])
	}
	if err := grow(path, []byte("other")); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "other" {
		t.Errorf("%q", got)
	}
}

// A recipe that were written otherwise would make every trained segmenter unknown.
func TestSegmentersRecipesStay(t *testing.T) {
	const settings = `{"Batch":2,"Accumulate":1,"Epochs":60,"Steps":0,"Size":128,"Precision":"f32","Seed":1,"Mixup":0.1,"ClipNorm":1,"Patience":0,"Augment":{"Preset":"","FlipRows":0,"FlipColumns":0.5,"FlipSlices":0,"TranslateP":0.7,"Translate":0.15,"GridP":0.5,"Grid":0.08,"GridCells":0,"RotateP":0.6,"RotateRows":10,"RotateColumns":12,"RotateSlices":15,"ZoomP":0.6,"Zoom":1.15,"ZoomAll":1.25,"CropP":0.15,"Crop":0.6,"LowSlicesP":0.1,"LowSlices":40,"RescaleP":0.4,"Rescale":2,"ToneP":0.5,"Contrast":1.3,"Brightness":0.06,"Gamma":1.4,"BlurP":0.15,"Blur":0.9,"NoiseP":0.3,"Noise":0.05,"Edge":false},"Optimizer":{"Rate":0.003,"WeightDecay":0.01,"Beta1":0.9,"Beta2":0.999,"Epsilon":1e-8},"Schedule":{"Kind":"cosine","MinRate":0.00003,"Warmup":50,"RestartEpochs":50,"RestartFactor":1},"Loss":{"Kind":"bce+dice","BCE":0.5,"Dice":0.5,"Smooth":1,"PerLevel":true},"Average":{"Decay":0,"Every":1},"Validate":{"Every":1},"Checkpoint":{"Steps":0,"Minutes":0}}`
	dir := t.TempDir()
	f := &DoFn{Site: transforms.Site{Store: dir}, Dataset: publish(t, dir, 15), Engine: "gorgonia", Run: "r"}
	training, err := f.open(t.Context(), open(t, dir), task(t, 1, DefaultSegmenter()))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := findEngine("gorgonia")
	if err != nil {
		t.Fatal(err)
	}
	got := training.recipe
	want := artifacts.Recipe{Transform: "train", Version: 1, Params: []artifacts.Param{{Name: "config", Value: settings}, {Name: "engine", Value: engine.Identity()}, {Name: "fold", Value: "1"}}}
	if len(got.Inputs) != 3 || got.Inputs[0].Name != "model" || got.Inputs[1].Name != shard.FileName(0, 2) {
		t.Errorf("inputs: %v", got.Inputs)
	}
	got.Inputs = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
