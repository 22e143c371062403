package pipelines

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/phantom"
	"github.com/cspine/cspine/models/openvino"
	"github.com/cspine/cspine/pipelines/runners"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/manifest"
	"github.com/cspine/cspine/transforms/segment"
	"github.com/cspine/cspine/transforms/shard"
)

// bench is a data set of small phantoms and a store, for one test.
type bench struct {
	t    *testing.T
	data string
	site transforms.Site
	runs int
}

func newBench(t *testing.T, studies int) *bench {
	t.Helper()
	b := &bench{t: t, data: filepath.Join(t.TempDir(), "data")}
	b.site = transforms.Site{Data: b.data, Store: filepath.Join(t.TempDir(), "store")}
	if _, err := phantom.Write(t.Context(), b.data, phantom.Options{Studies: studies, Slices: 40, Masks: studies, Seed: 3, Size: 96, Syntax: "mixed"}); err != nil {
		t.Fatal(err)
	}
	return b
}

// studies lists the folders of the data set's studies, sorted.
func (b *bench) studies() []string {
	b.t.Helper()
	dirs, err := filepath.Glob(filepath.Join(b.data, "train_images", "*"))
	if err != nil || len(dirs) == 0 {
		b.t.Fatal("no studies", err)
	}
	return dirs
}

// prepare runs the pipeline and returns its manifest.
func (b *bench) prepare(model segment.Model) []artifacts.Row {
	b.t.Helper()
	return b.run(Prepare, model)
}

// run runs a pipeline that makes a data set, and returns its manifest.
func (b *bench) run(pipeline func(beam.Scope, PrepareOptions), model segment.Model) []artifacts.Row {
	b.t.Helper()
	return b.planAndRun(func(s beam.Scope, site transforms.Site, id string) {
		pipeline(s, PrepareOptions{Site: site, Run: "test", ID: id, Model: model, Shard: shard.Layout{Buckets: 2}})
	})
}

// planAndRun plans a pipeline, runs it, compares the two, and returns the run's manifest. It goes on from the run before.
func (b *bench) planAndRun(build func(s beam.Scope, site transforms.Site, id string)) []artifacts.Row {
	b.t.Helper()
	site := b.site
	if b.runs > 0 {
		site.Earlier, site.Studies = manifest.Key("test", fmt.Sprintf("%03d", b.runs)), 10
	}
	b.runs++
	id := fmt.Sprintf("%03d", b.runs)
	site.Plan = true
	planned := b.observed(func(s beam.Scope) { build(s, site, id) })
	site.Plan = false
	b.observed(func(s beam.Scope) { build(s, site, id) })
	file, err := b.store().GetNamed(b.t.Context(), manifest.Key("test", id))
	if err != nil {
		b.t.Fatal(err)
	}
	rows, err := artifacts.ReadManifest(file)
	if err != nil {
		b.t.Fatal(err)
	}
	comparePlan(b.t, planned, rows)
	return rows
}

// observed runs a pipeline and returns what its steps report.
func (b *bench) observed(build func(beam.Scope)) []artifacts.Row {
	b.t.Helper()
	rows, err := runners.Reported(b.t.Context(), build)
	if err != nil {
		b.t.Fatal(err)
	}
	return rows
}

// comparePlan holds a plan against the run that followed it: what is computed was planned or depended on something, and what was
// planned is computed, unless its study was refused.
func comparePlan(t *testing.T, planned, done []artifacts.Row) {
	t.Helper()
	type what struct{ step, subject, recipe string }
	of := func(r artifacts.Row, recipe string) what { return what{r.Step, path.Base(r.Subject), recipe} }
	said := map[what]string{}
	for _, r := range planned {
		said[of(r, r.Recipe)] = r.Verdict
	}
	computed, refused := map[what]bool{}, map[string]bool{}
	for _, r := range done {
		refused[path.Base(r.Subject)] = refused[path.Base(r.Subject)] || r.Verdict == transforms.Refused
		if r.Recipe == "" || r.Hit {
			continue
		}
		computed[of(r, r.Recipe)] = true
		if said[of(r, r.Recipe)] != transforms.WouldRun && said[of(r, "")] != transforms.Depends {
			t.Errorf("%s %s of %s was computed, and the plan said %q", r.Step, r.Part, r.Subject, said[of(r, r.Recipe)])
		}
	}
	for w, verdict := range said {
		if verdict == transforms.WouldRun && !computed[w] && !refused[w.subject] {
			t.Errorf("%s of %s, recipe %s, was planned and not computed", w.step, w.subject, w.recipe)
		}
	}
}

func (b *bench) store() *artifacts.Store {
	b.t.Helper()
	store, err := b.site.OpenStore(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return store
}

// model puts a model's file into the store.
func (b *bench) model(file string) segment.Model {
	b.t.Helper()
	if _, err := openvino.New(nil); err != nil {
		b.t.Skipf("needs OpenVINO: %v", err)
	}
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		b.t.Fatal(err)
	}
	out, err := b.store().Put(b.t.Context(), artifacts.Content{Data: data})
	if err != nil {
		b.t.Fatal(err)
	}
	return segment.Model{Digests: []string{out.Digest.String()}}
}

// computed lists what a run computed, as "step" or "step part", with how often.
func computed(rows []artifacts.Row) map[string]int {
	n := map[string]int{}
	for _, r := range rows {
		if r.Digest != "" && !r.Hit {
			n[strings.TrimSpace(r.Step+" "+r.Part)]++
		}
	}
	return n
}

func where(rows []artifacts.Row, keep func(artifacts.Row) bool) []artifacts.Row {
	return slices.DeleteFunc(slices.Clone(rows), func(r artifacts.Row) bool { return !keep(r) })
}

var everyCrop = []string{"crop C1", "crop C2", "crop C3", "crop C4", "crop C5", "crop C6", "crop C7"}

func TestPrepareMakesADataSetOfEveryVertebra(t *testing.T) {
	b := newBench(t, 3)
	rows := b.prepare(segment.Model{})
	want := map[string]int{"index": 3, "resample": 3, "segment": 3, "boxes": 3, "shard": 2}
	for _, c := range everyCrop {
		want[c] = 3
	}
	if diff := cmp.Diff(want, computed(rows)); diff != "" {
		t.Fatal(diff)
	}
	got := map[string]bool{}
	for _, r := range where(rows, func(r artifacts.Row) bool { return r.Step == "shard" }) {
		d, err := artifacts.ParseDigest(r.Digest)
		if err != nil {
			t.Fatal(err)
		}
		file, err := b.store().Get(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		reader, err := shard.Open(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		for s, err := range reader.Samples(t.Context(), shard.ReadOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			got[s.StudyUID+" "+s.Vertebra] = true
			if s.Label == nil || s.PatientLabel == nil {
				t.Errorf("%s of %s has no label", s.Vertebra, s.StudyUID)
			}
			if d := artifacts.DigestOf(npy.FromUint8(s.Tensor, s.Shape...).Bytes()); d.String() != s.CropDigest {
				t.Errorf("%s of %s: the tensor is not the crop it names", s.Vertebra, s.StudyUID)
			}
		}
	}
	if len(got) != 21 {
		t.Errorf("%d samples, want 21: %v", len(got), got)
	}
	files, err := b.store().ListNamed(t.Context(), shard.Dir("test")+"/")
	if err != nil || len(files) != 3 {
		t.Errorf("the data set has %d files, %v; want 2 shards and a manifest", len(files), err)
	}
}

func TestSecondRunDoesNoWork(t *testing.T) {
	b := newBench(t, 2)
	first := b.prepare(segment.Model{})
	second := b.prepare(segment.Model{})
	if got := computed(second); len(got) != 0 {
		t.Errorf("computed again: %v", got)
	}
	if len(first) != len(second) {
		t.Errorf("the first run has %d rows, the second %d", len(first), len(second))
	}
	for i := range first {
		if first[i].Digest != second[i].Digest {
			t.Errorf("%s %s of %s: other content", first[i].Step, first[i].Part, first[i].Subject)
		}
	}
}

func TestEqualStudiesGiveEqualArtifactsInAnyStore(t *testing.T) {
	b := newBench(t, 3)
	first := b.prepare(segment.Model{})
	b.site.Store = filepath.Join(t.TempDir(), "another")
	second := b.prepare(segment.Model{})
	for i := range second {
		first[i].Seconds, second[i].Seconds = 0, 0
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error(diff)
	}
}

func TestEqualMaskRecomputesNoCrop(t *testing.T) {
	b := newBench(t, 1)
	b.prepare(segment.Model{})
	labels := filepath.Join(b.data, "segmentations", filepath.Base(b.studies()[0])+".nii")
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(labels, later, later); err != nil {
		t.Fatal(err)
	}
	// The label file may have changed, so the mask is made again. It is the same, so that nothing follows,
	// but for the shard, which names the file that its masks come from.
	if diff := cmp.Diff(map[string]int{"segment": 1, "shard": 1}, computed(b.prepare(segment.Model{}))); diff != "" {
		t.Error(diff)
	}
}

func TestAChangeAtC3LeavesOtherCropsAlone(t *testing.T) {
	b := newBench(t, 2)
	b.prepare(segment.Model{})
	labels := filepath.Join(b.data, "segmentations", filepath.Base(b.studies()[0])+".nii")
	f, err := os.Open(labels)
	if err != nil {
		t.Fatal(err)
	}
	img, err := nifti.Read(f, nil)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	removed := 0
	for i, v := range img.Data {
		if v == 3 && i%2 == 0 {
			img.Data[i] = 0
			removed++
		}
	}
	if removed == 0 {
		t.Fatal("no C3 in the phantom")
	}
	var out bytes.Buffer
	if err := nifti.Write(&out, img); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(labels, out.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"segment": 1, "boxes": 1, "crop C3": 1, "shard": 1}
	if diff := cmp.Diff(want, computed(b.prepare(segment.Model{}))); diff != "" {
		t.Error(diff)
	}
}

func TestANewModelMakesMasksAndOnlyTouchedCrops(t *testing.T) {
	b := newBench(t, 2)
	first, second := b.model("first.onnx"), b.model("second.onnx")
	b.prepare(first)
	// The second model differs in C3 alone.
	want := map[string]int{"segment": 2, "boxes": 2, "crop C3": 2, "shard": 2}
	rows := b.prepare(second)
	got := computed(rows)
	if len(where(rows, func(r artifacts.Row) bool { return r.Step == "shard" })) == 1 {
		want["shard"] = 1 // both studies fell into one bucket
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := computed(b.prepare(first)); len(got) != 0 {
		t.Errorf("going back to the first model computed %v", got)
	}
}

func TestOneReplacedSliceTouchesOnlyItsStudy(t *testing.T) {
	b := newBench(t, 2)
	b.prepare(segment.Model{})
	slice := filepath.Join(b.studies()[0], firstFile(t, b.studies()[0]))
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(slice, later, later); err != nil {
		t.Fatal(err)
	}
	rows := b.prepare(segment.Model{})
	for _, r := range where(rows, func(r artifacts.Row) bool { return r.Step != "shard" && !r.Hit }) {
		if r.Subject != filepath.Base(b.studies()[0]) {
			t.Errorf("%s of another study was computed", r.Step)
		}
	}
	if got := computed(rows); got["index"] != 1 {
		t.Errorf("computed %v, want the study's index among it", got)
	}
}

func TestABadStudyStopsNoOther(t *testing.T) {
	b := newBench(t, 3)
	bad := b.studies()[1]
	slice := filepath.Join(bad, firstFile(t, bad))
	if err := os.Truncate(slice, 1500); err != nil {
		t.Fatal(err)
	}
	rows := b.prepare(segment.Model{})
	refused := where(rows, func(r artifacts.Row) bool { return r.Verdict == transforms.Refused })
	if len(refused) != 1 || refused[0].Reason != "damaged_slice" || !strings.Contains(refused[0].Detail, filepath.Base(slice)) || refused[0].Remedy == "" {
		t.Fatalf("quarantine: %+v", refused)
	}
	crops := where(rows, func(r artifacts.Row) bool { return r.Step == "crop" })
	if len(crops) != 14 {
		t.Errorf("%d crops of the other two studies, want 14", len(crops))
	}
	list, err := b.store().GetNamed(t.Context(), manifest.QuarantineKey("test", "001"))
	if err != nil || !bytes.Contains(list, []byte(filepath.Base(bad))) {
		t.Errorf("quarantine list: %s, %v", list, err)
	}
}

func TestAStudyWithoutLabelsIsSkipped(t *testing.T) {
	b := newBench(t, 2)
	if err := os.Remove(filepath.Join(b.data, "segmentations", filepath.Base(b.studies()[0])+".nii")); err != nil {
		t.Fatal(err)
	}
	rows := b.prepare(segment.Model{})
	skipped := where(rows, func(r artifacts.Row) bool { return r.Verdict == transforms.Skipped })
	if len(skipped) != 1 || skipped[0].Subject != filepath.Base(b.studies()[0]) || skipped[0].Reason != string(segment.NoLabels) {
		t.Errorf("%+v", skipped)
	}
}

func firstFile(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Fatal("no files in", dir, err)
	}
	return entries[0].Name()
}
