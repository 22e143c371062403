package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cspine/cspine/transforms/augment"
	"github.com/cspine/cspine/transforms/train"
)

func TestTrainingSettings(t *testing.T) {
	read := func(text string) (train.SegmenterConfig, error) {
		path := filepath.Join(t.TempDir(), "train.toml")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return readSegmenterConfig(path)
	}
	want := train.DefaultSegmenter()
	if got, err := read(""); err != nil || got != want {
		t.Errorf("an empty file gives %+v, %v", got, err)
	}
	want.Batch, want.Optimizer.Rate, want.Schedule.Kind, want.Augment.Preset = 4, 1e-3, train.Restarts, "method"
	want.Augment.Options = augment.Method()
	want.Augment.FlipSlices = 0
	got, err := read("batch = 4\n[optimizer]\nrate = 1e-3\n[schedule]\nKind = \"restarts\"\n[augment]\nflipslices = 0\npreset = \"method\"\n")
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for text, fault := range map[string]string{
		"[optimizer]\nmomentum = 0.9":   "there is no setting optimizer.momentum",
		"[augment]\npreset = \"wild\"":  `"wild"`,
		"batch = 0":                     "Batch is 0",
		"batch = \"two\"":               "batch",
		"[schedule]\nkind = \"linear\"": "linear",
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestClassifiersSettings(t *testing.T) {
	read := func(text string) (train.ClassifierConfig, error) {
		path := filepath.Join(t.TempDir(), "train.toml")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return readClassifierConfig(path)
	}
	want := train.DefaultClassifier()
	want.Batch, want.Loss.PositiveWeight = 4, 3
	want.Augment = train.SlicesConfig{Preset: "method", Slices: augment.MethodSlices()}
	want.Augment.CutoutP = 0
	got, err := read("batch = 4\n[loss]\nPositiveWeight = 3.0\n[augment]\ncutoutp = 0\npreset = \"method\"\n")
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for text, fault := range map[string]string{
		"size = 64":                    "there is no setting size",
		"[loss]\nperlevel = true":      "there is no setting loss.perlevel",
		"[augment]\npreset = \"wild\"": `"wild"`,
		"[loss]\npatient = 2.0":        "Loss.Patient is 2",
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The first two samples in the manual must be what is taken where nothing is said, and the third one must be readable.
func TestTheManualShowsTheDefaultSettings(t *testing.T) {
	text, err := os.ReadFile("../../docs/training.md")
	if err != nil {
		t.Fatal(err)
	}
	var samples []string
	for rest := string(text); ; {
		_, after, ok := strings.Cut(rest, "```toml\n")
		if !ok {
			break
		}
		sample, after, _ := strings.Cut(after, "```")
		path := filepath.Join(t.TempDir(), "train.toml")
		if err := os.WriteFile(path, []byte(sample), 0o666); err != nil {
			t.Fatal(err)
		}
		samples, rest = append(samples, path), after
	}
	if len(samples) != 3 {
		t.Fatalf("docs/training.md has %d samples", len(samples))
	}
	if got, err := readSegmenterConfig(samples[0]); err != nil || got != train.DefaultSegmenter() {
		t.Errorf("segmenter: %+v, %v", got, err)
	}
	if got, err := readClassifierConfig(samples[1]); err != nil || got != train.DefaultClassifier() {
		t.Errorf("classifier: %+v, %v", got, err)
	}
	if got, err := readClassifierConfig(samples[2]); err != nil || got.Optimizer.Rate != 23e-5 || got.Schedule.MinRate != 23e-6 || got.Epochs != 75 {
		t.Errorf("the reference's: %+v, %v", got, err)
	}
}
