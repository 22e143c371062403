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

// The sample in the manual must be what is taken where nothing is said.
func TestTheManualShowsTheDefaultSettings(t *testing.T) {
	text, err := os.ReadFile("../../docs/training.md")
	if err != nil {
		t.Fatal(err)
	}
	_, sample, ok := strings.Cut(string(text), "```toml\n")
	sample, _, closed := strings.Cut(sample, "```")
	if !ok || !closed {
		t.Fatal("docs/training.md has no sample")
	}
	path := filepath.Join(t.TempDir(), "train.toml")
	if err := os.WriteFile(path, []byte(sample), 0o666); err != nil {
		t.Fatal(err)
	}
	if got, err := readSegmenterConfig(path); err != nil || got != train.DefaultSegmenter() {
		t.Errorf("got %+v, %v", got, err)
	}
}
