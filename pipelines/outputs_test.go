package pipelines

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/models/gorgonia/kernel"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/crop"
	"github.com/cspine/cspine/transforms/segment"
)

// TestAnOutputChangesOnlyWithItsRecipe holds what every step makes of one study against testdata/outputs.golden, which names recipes and
// outputs. Whoever changes a step's output and not its recipe, which has the transform's version and the engine's identity, would let
// users' stores go on serving the old output as the new: it fails, and CSPINE_UPDATE=1 does not make it pass. A recipe that is not in the
// file asks for CSPINE_UPDATE=1.
func TestAnOutputChangesOnlyWithItsRecipe(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the golden outputs have the floating point of amd64")
	}
	// The loops in Go alone are the same on every machine.
	was := kernel.Level()
	if err := kernel.SetLevel("portable"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kernel.SetLevel(was); err != nil {
			t.Error(err)
		}
	})
	b := newBench(t, 1)
	b.date()
	network, err := os.ReadFile(filepath.Join("testdata", "first.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := b.store().Put(t.Context(), artifacts.Content{Data: network})
	if err != nil {
		t.Fatal(err)
	}
	model := segment.Model{Digests: []string{file.Digest.String()}, Engine: "gorgonia"}
	rows := b.planAndRun(func(s beam.Scope, site transforms.Site, id string) {
		Predict(s, PredictOptions{PrepareOptions: PrepareOptions{Site: site, Run: "test", ID: id, Model: model},
			Classifiers: classify.Ensemble{Engine: "gorgonia", Files: []classify.File{b.classifier(1, 1), b.classifier(2, 1)}}})
	})
	rows = append(rows, b.run(PrepareSegmentation, segment.Model{})...)
	rows = append(rows, b.keeping(crop.Keep{})...)
	b.erode(20)
	b.date()
	rows = append(rows, b.keeping(crop.Keep{Dice: 0.9, BoxMM: 10})...)

	made := map[string]string{} // outputs by what made them
	for _, r := range rows {
		if r.Recipe != "" && r.Digest != "" {
			made[strings.Join([]string{r.Transform, r.Recipe}, " ")] = r.Digest
		}
	}
	transformed := map[string]bool{}
	for m := range made {
		transformed[strings.Fields(m)[0]] = true
	}
	for _, transform := range []string{"index", "resample", "segment", "labels", "labelmap", "boxes", "crop", crop.KeptTransform, "shard", "classify"} {
		if !transformed[transform] {
			t.Errorf("no output of %s is looked at, but of %v", transform, transformed)
		}
	}

	golden := filepath.Join("testdata", "outputs.golden")
	stored, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	for line := range strings.Lines(string(stored)) {
		f := strings.Fields(line)
		known[f[0]+" "+f[1]] = f[2]
	}
	var lines []string
	unknown := 0
	for m, output := range made {
		lines = append(lines, fmt.Sprintf("%s %s\n", m, output))
		switch was := known[m]; was {
		case output:
		case "":
			unknown++
		default:
			t.Errorf("%s gives %s, and gave %s: its output changed and its recipe did not: raise the transform's Version, or the version of the engine",
				m, output, was)
		}
	}
	slices.Sort(lines)
	switch text := strings.Join(lines, ""); {
	case t.Failed() || text == string(stored):
	case os.Getenv("CSPINE_UPDATE") != "":
		if err := os.WriteFile(golden, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%d recipes of %d are not in %s: where a version was raised or the test's studies changed, run: CSPINE_UPDATE=1 go test ./pipelines -run Output",
			unknown, len(made), golden)
	}
}

// date gives all files of the data set one date of modification, which is part of recipes.
func (b *bench) date() {
	b.t.Helper()
	at := time.Unix(1700000000, 0)
	err := filepath.WalkDir(b.data, func(file string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(file, at, at)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}
