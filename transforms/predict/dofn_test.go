package predict

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/score"
)

// desk is a store and what classifiers said of studies.
type desk struct {
	t     *testing.T
	site  transforms.Site
	files []classify.File
}

func newDesk(t *testing.T) *desk {
	prior := [classify.Targets]float64{0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.4, 0.5}
	return &desk{t: t, site: transforms.Site{Data: "rsna/test_images", Store: t.TempDir()}, files: []classify.File{
		{Digest: artifacts.DigestOf([]byte("first")).String(), Spec: classify.Spec{Type: classify.Vertebra, Prior: prior, PriorKnown: true}},
		{Digest: artifacts.DigestOf([]byte("second")).String(), Spec: classify.Spec{Type: classify.Patient, Prior: prior, PriorKnown: true}},
	}}
}

func (d *desk) store() *artifacts.Store {
	d.t.Helper()
	store, err := d.site.OpenStore(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return store
}

// logits stores an answer.
func (d *desk) logits(values ...float32) string {
	d.t.Helper()
	a := npy.New(npy.Float32, len(values))
	for i, v := range values {
		binary.LittleEndian.PutUint32(a.Data[4*i:], math.Float32bits(v))
	}
	out, err := d.store().Put(d.t.Context(), artifacts.Content{Data: a.Bytes()})
	if err != nil {
		d.t.Fatal(err)
	}
	return out.Digest.String()
}

// study is one whose every found vertebra has the logit z.
func (d *desk) study(uid string, z float32, missing ...int) transforms.Classified {
	c := transforms.Classified{Study: transforms.Vertebrae{Folder: "test_images/" + uid, UID: uid}}
	together := make([]float32, 7*classify.Positions+1)
	for i := range together {
		together[i] = z
	}
	for level := range volume.Levels {
		s := transforms.Sample{Level: level, Found: true, Box: []int{1, 2, 3, 4, 5, 6}, SourceBox: []int{10, 20, 30, 40, 50, 60}, ZPositions: []int{51, 52}}
		alone := make([]float32, classify.Positions)
		for i := range alone {
			alone[i] = z
		}
		digest := d.logits(alone...)
		for _, m := range missing {
			if m == level {
				s, digest = transforms.Sample{Level: level}, ""
				for i := range classify.Positions {
					together[level*classify.Positions+i] = float32(math.NaN())
				}
			}
		}
		c.Study.Samples, c.Logits = append(c.Study.Samples, s), append(c.Logits, digest)
	}
	digest := d.logits(together...)
	if len(missing) == volume.Levels {
		digest = ""
	}
	c.Logits = append(c.Logits, digest)
	return c
}

func (d *desk) judge(c transforms.Classified, o Options) (a transforms.Answered, rows []artifacts.Row) {
	d.t.Helper()
	f := &VerdictFn{Site: d.site, Files: d.files, Options: o}
	err := f.ProcessElement(d.t.Context(), c, func(_ int, answered transforms.Answered) { a = answered }, func(r artifacts.Row) { rows = append(rows, r) })
	if err != nil {
		d.t.Fatal(err)
	}
	return a, rows
}

// write writes a run's predictions, and returns the submission and the details.
func (d *desk) write(run string, answered []transforms.Answered, flagged []artifacts.Row) (submission, details []byte, rows []artifacts.Row) {
	d.t.Helper()
	f := &WriteFn{Site: d.site, Run: run, Files: d.files}
	if err := f.ProcessElement(d.t.Context(), 0, each(answered), each(flagged), func(r artifacts.Row) { rows = append(rows, r) }); err != nil {
		d.t.Fatal(err)
	}
	var files [2][]byte
	for i, name := range []string{SubmissionFile, DetailsFile} {
		var err error
		if files[i], err = d.store().GetNamed(d.t.Context(), path.Join(Dir(run), name)); err != nil {
			d.t.Fatal(err)
		}
	}
	return files[0], files[1], rows
}

func each[T any](list []T) func(*T) bool {
	return func(v *T) bool {
		if len(list) == 0 {
			return false
		}
		*v, list = list[0], list[1:]
		return true
	}
}

func (d *desk) details(file []byte) map[string]Detail {
	d.t.Helper()
	list, err := ReadDetails(file)
	if err != nil {
		d.t.Fatal(err)
	}
	rows := map[string]Detail{}
	for _, r := range list {
		rows[r.Study+"_"+r.Target] = r
	}
	if len(rows) != len(list) {
		d.t.Errorf("%d rows for %d answers", len(list), len(rows))
	}
	return rows
}

func TestEveryStudyIsAnsweredAndFlagged(t *testing.T) {
	d := newDesk(t)
	whole, _ := d.judge(d.study("1.2.9", 0), Options{})
	part, rows := d.judge(d.study("1.2.5", 0, 0, 6), Options{})
	if len(rows) != 1 {
		t.Errorf("two missing vertebrae are reported as %+v", rows)
	}
	empty, rows := d.judge(d.study("1.2.1", 0, 0, 1, 2, 3, 4, 5, 6), Options{})
	if len(rows) != 2 || rows[1].Verdict != transforms.NotFound || rows[1].Reason != string(NoVertebra) {
		t.Errorf("a study without vertebrae is reported as %+v", rows)
	}
	submission, file, rows := d.write("a", []transforms.Answered{whole, part, empty}, []artifacts.Row{
		{Subject: "test_images/1.2.7", Step: "index", Verdict: transforms.Refused, Reason: "damaged_slice"},
		{Subject: "1.2.3", Step: "segment", Verdict: transforms.Skipped, Reason: "no_label_mask"},
		{Subject: ".", Step: "index", Verdict: transforms.Refused, Reason: "no_slices"},
		{Subject: "test_images/ neck\t1 ", Step: "index", Verdict: transforms.Refused, Reason: "no_slices"},
	})
	if len(rows) != 0 {
		t.Errorf("%+v", rows)
	}
	answers, err := score.ReadSubmission(bytes.NewReader(submission))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range answers {
		names = append(names, a.Study)
		for target, p := range a.P {
			if math.IsNaN(p) {
				t.Errorf("study %s has no row of %s", a.Study, classify.TargetName(target))
			}
		}
	}
	if diff := cmp.Diff([]string{"1.2.1", "1.2.3", "1.2.5", "1.2.7", "1.2.9", "_neck_1_", "test_images"}, names); diff != "" {
		t.Error("studies:", diff)
	}

	got := d.details(file)
	if len(got) != 7*8 {
		t.Errorf("%d rows", len(got))
	}
	c1 := 2 * 0.1 / 1.1
	for name, want := range map[string]struct {
		flag string
		p    float64
	}{
		"1.2.9_C1": {"ok", 0.5}, "1.2.9_patient_overall": {"ok", 0.4*(1-math.Pow(0.5, 7)) + 0.6*0.5},
		"1.2.5_C1": {"not_found", c1}, "1.2.5_C2": {"ok", 0.5},
		"1.2.5_patient_overall": {"ok", 0.4*(1-math.Pow(0.5, 5)*(1-c1)*(1-0.8/1.4)) + 0.6*0.5},
		"1.2.1_C1":              {"not_found", c1}, "1.2.1_patient_overall": {"not_found", 1 / 1.5},
		"1.2.7_C1": {"refused:damaged_slice", c1}, "1.2.7_patient_overall": {"refused:damaged_slice", 1 / 1.5},
		"1.2.3_C7": {"refused:no_label_mask", 0.8 / 1.4}, "test_images_C1": {"refused:no_slices", c1},
	} {
		r := got[name]
		if r.Flag != want.flag || math.Abs(r.Probability-want.p) > 1e-12 {
			t.Errorf("%s: %s %g, want %s %g", name, r.Flag, r.Probability, want.flag, want.p)
		}
		if len(r.Models) != 2 || r.Models[1] != d.files[1].Digest {
			t.Errorf("%s: models %v", name, r.Models)
		}
		if strings.HasPrefix(r.Flag, FlagRefused) != (len(r.Alone) == 0) || r.Flag != FlagOK && len(r.Slices)+len(r.Box) > 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	r := got["1.2.9_C2"]
	if len(r.Slices) != 15 || r.Slices[3] != 0.5 || fmt.Sprint(r.Box, r.SourceBox, r.ZPositions, r.Alone) != "[1 2 3 4 5 6] [10 20 30 40 50 60] [51 52] [0.5 0.5]" {
		t.Errorf("%+v", r)
	}
}

func TestEqualVerdictsGiveEqualFiles(t *testing.T) {
	d := newDesk(t)
	a, _ := d.judge(d.study("1.2.9", 1), Options{})
	b, _ := d.judge(d.study("1.2.5", -1, 3), Options{})
	flagged := []artifacts.Row{{Subject: "x/2", Verdict: transforms.Refused, Reason: "gone"}, {Subject: "x/1", Verdict: transforms.Refused, Reason: "gone"}}
	s1, d1, _ := d.write("a", []transforms.Answered{a, b}, flagged)
	s2, d2, _ := d.write("b", []transforms.Answered{b, a}, []artifacts.Row{flagged[1], flagged[0]})
	if !bytes.Equal(s1, s2) || !bytes.Equal(d1, d2) {
		t.Error("another order gives other bytes")
	}
}

func TestAVerdictIsMadeAgainForOtherOptionsOrLogitsAlone(t *testing.T) {
	d := newDesk(t)
	c := d.study("1.2.9", 1)
	made := func(c transforms.Classified, o Options) bool {
		_, rows := d.judge(c, o)
		return !rows[0].Hit
	}
	if !made(c, Options{}) || made(c, Options{}) || made(c, Options{Product: 0.4, Head: 0.6, Floor: 1e-4}) {
		t.Error("the method's options, said or unsaid, are one verdict")
	}
	if !made(c, Options{Top: 5}) {
		t.Error("another top is the old verdict")
	}
	c.Logits[3] = d.logits(make([]float32, 15)...)
	if !made(c, Options{}) {
		t.Error("other logits are the old verdict")
	}
	// Where a mask comes from is nothing to a verdict.
	c.Study.Samples[0].Segmenter, c.Study.Samples[0].Mask = "another", "another"
	if made(c, Options{}) {
		t.Error("another segmenter of the same crop makes another verdict")
	}
}

func TestAStudyInTwoFoldersIsAnsweredOnce(t *testing.T) {
	d := newDesk(t)
	a, _ := d.judge(d.study("1.2.9", 1), Options{})
	b := a
	b.Folder = "train_images/1.2.9"
	submission, _, rows := d.write("a", []transforms.Answered{b, a}, nil)
	if len(rows) != 1 || rows[0].Verdict != transforms.Refused || rows[0].Reason != "duplicate_study" || !strings.Contains(rows[0].Detail, "train_images") {
		t.Errorf("%+v", rows)
	}
	// One that is refused in one folder and good in the other is answered by the good one.
	again, details, _ := d.write("b", []transforms.Answered{a}, []artifacts.Row{{Subject: "test_images/1.2.9", Verdict: transforms.Refused, Reason: "gone"}})
	if !bytes.Equal(submission, again) || d.details(details)["1.2.9_C1"].Flag != FlagOK {
		t.Error("answered twice")
	}
}

func TestAVerdictThatCanNotBeReadIsARefusal(t *testing.T) {
	d := newDesk(t)
	a, _ := d.judge(d.study("1.2.9", 1), Options{})
	digest, err := artifacts.ParseDigest(a.Verdict)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.store().Remove(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	_, details, rows := d.write("a", []transforms.Answered{a}, nil)
	if len(rows) != 1 || rows[0].Reason != string(transforms.CodeArtifact) || d.details(details)["1.2.9_C1"].Flag != "refused:damaged_artifact" {
		t.Errorf("%+v", rows)
	}
}

func TestDamagedDetailsAreAnError(t *testing.T) {
	d := newDesk(t)
	a, _ := d.judge(d.study("1.2.9", 1), Options{})
	_, file, _ := d.write("a", []transforms.Answered{a}, nil)
	for n := range len(file) {
		if _, err := ReadDetails(file[:n]); err == nil {
			t.Fatalf("%d of %d bytes were read", n, len(file))
		}
	}
}

// TestPythonReadsExactDetails needs CSPINE_PYTHON, a python with pyarrow.
func TestPythonReadsExactDetails(t *testing.T) {
	python := os.Getenv("CSPINE_PYTHON")
	if python == "" {
		t.Skip("CSPINE_PYTHON does not name a python with pyarrow")
	}
	d := newDesk(t)
	a, _ := d.judge(d.study("1.2.9", 0.3), Options{})
	b, _ := d.judge(d.study("1.2.5", -0.7, 3), Options{})
	_, file, _ := d.write("a", []transforms.Answered{a, b}, []artifacts.Row{{Subject: "1.2.3", Verdict: transforms.Refused, Reason: "gone"}})
	rows, err := ReadDetails(file)
	if err != nil {
		t.Fatal(err)
	}
	var want []map[string]any
	for _, r := range rows {
		want = append(want, map[string]any{"study_uid": r.Study, "target": r.Target, "probability": r.Probability, "flag": r.Flag, "slice_probabilities": r.Slices,
			"z_positions": r.ZPositions, "box": r.Box, "source_box": r.SourceBox, "model_digests": r.Models, "model_probabilities": r.Alone})
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"details.parquet": file, "rows.json": text} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/check_details.py", filepath.Join(dir, "details.parquet"), filepath.Join(dir, "rows.json")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
