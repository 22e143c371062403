package pipelines

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/models/nets"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/predict"
	"github.com/cspine/cspine/transforms/score"
)

// classifier puts a small classifier with random weights into the store.
func (b *bench) classifier(kind int, seed uint64) classify.File {
	b.t.Helper()
	file, err := nets.Classifier{Type: kind, Size: 32, Hidden: 16}.Build(seed)
	if err != nil {
		b.t.Fatal(err)
	}
	e := classify.Ensemble{Engine: "gorgonia"}
	spec, err := e.Check(file)
	if err != nil {
		b.t.Fatal(err)
	}
	out, err := b.store().Put(b.t.Context(), artifacts.Content{Data: file})
	if err != nil {
		b.t.Fatal(err)
	}
	return classify.File{Digest: out.Digest.String(), Spec: spec}
}

// predict runs the pipeline with label masks, and returns the run's manifest and the submission.
func (b *bench) predict(files ...classify.File) ([]artifacts.Row, []byte) {
	b.t.Helper()
	rows := b.planAndRun(func(s beam.Scope, site transforms.Site, id string) {
		Predict(s, PredictOptions{PrepareOptions: PrepareOptions{Site: site, Run: "test", ID: id},
			Classifiers: classify.Ensemble{Engine: "gorgonia", Files: files}})
	})
	submission, err := b.store().GetNamed(b.t.Context(), path.Join(predict.Dir("test"), predict.SubmissionFile))
	if err != nil {
		b.t.Fatal(err)
	}
	return rows, submission
}

func (b *bench) answers(submission []byte) map[string]score.Answer {
	b.t.Helper()
	list, err := score.ReadSubmission(bytes.NewReader(submission))
	if err != nil {
		b.t.Fatal(err)
	}
	answers := map[string]score.Answer{}
	for _, a := range list {
		answers[a.Study] = a
	}
	return answers
}

// ofClassify keeps what is computed from crops on.
func ofClassify(n map[string]int) map[string]int {
	maps.DeleteFunc(n, func(step string, _ int) bool { return !strings.HasPrefix(step, "classify") && step != "verdict" })
	return n
}

func everyVertebra(studies int) map[string]int {
	n := map[string]int{"verdict": studies}
	for level := 1; level <= 7; level++ {
		n[fmt.Sprintf("classify C%d", level)] = studies
	}
	return n
}

func TestPredictAnswersEveryStudyAndAgainFromTheCache(t *testing.T) {
	b := newBench(t, 2)
	if err := os.Rename(filepath.Join(b.data, "train_images"), filepath.Join(b.data, "test_images")); err != nil {
		t.Fatal(err)
	}
	files := []classify.File{b.classifier(classify.Vertebra, 1), b.classifier(classify.Patient, 2)}
	rows, submission := b.predict(files...)
	want := everyVertebra(2)
	want["classify"] = 2
	if diff := cmp.Diff(want, ofClassify(computed(rows))); diff != "" {
		t.Error(diff)
	}
	if n := len(b.answers(submission)); n != 2 {
		t.Errorf("%d studies are answered", n)
	}
	rows, again := b.predict(files...)
	if got := computed(rows); len(got) != 0 || !bytes.Equal(submission, again) {
		t.Errorf("the second run computed %v", got)
	}
	// A store of its own gives the same bytes.
	b.site.Store = filepath.Join(t.TempDir(), "another")
	b.classifier(classify.Vertebra, 1)
	b.classifier(classify.Patient, 2)
	if _, elsewhere := b.predict(files...); !bytes.Equal(submission, elsewhere) {
		t.Error("another store has another submission")
	}
}

func TestASecondClassifierComputesItsOwnLogitsAlone(t *testing.T) {
	b := newBench(t, 2)
	first := b.classifier(classify.Vertebra, 1)
	b.predict(first)
	rows, _ := b.predict(first, b.classifier(classify.Vertebra, 2))
	if diff := cmp.Diff(everyVertebra(2), computed(rows)); diff != "" {
		t.Error(diff)
	}
	rows, _ = b.predict(first, b.classifier(classify.Patient, 3))
	if diff := cmp.Diff(map[string]int{"classify": 2, "verdict": 2}, computed(rows)); diff != "" {
		t.Error(diff)
	}
}

func TestAChangeAtC3ClassifiesC3AndThePatientAgain(t *testing.T) {
	b := newBench(t, 2)
	files := []classify.File{b.classifier(classify.Vertebra, 1), b.classifier(classify.Patient, 2)}
	_, before := b.predict(files...)
	img := b.labels(0)
	for i, v := range img.Data {
		if v == 3 && i%2 == 0 {
			img.Data[i] = 0
		}
	}
	b.relabel(0, img)
	rows, after := b.predict(files...)
	if diff := cmp.Diff(map[string]int{"segment": 1, "boxes": 1, "crop C3": 1, "classify C3": 1, "classify": 1, "verdict": 1}, computed(rows)); diff != "" {
		t.Error(diff)
	}
	changed := filepath.Base(b.studies()[0])
	was, is := b.answers(before), b.answers(after)
	for study := range was {
		if (was[study] == is[study]) != (study != changed) {
			t.Errorf("study %s: %v, then %v", study, was[study].P, is[study].P)
		}
	}
}

func TestWhatWasNotFoundOrRefusedIsAnsweredByPriors(t *testing.T) {
	b := newBench(t, 4)
	studies := b.studies()
	// One is damaged, one has no label file, one lacks C5.
	if err := os.Truncate(filepath.Join(studies[0], firstFile(t, studies[0])), 1500); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(b.labelFile(1)); err != nil {
		t.Fatal(err)
	}
	img := b.labels(2)
	for i, v := range img.Data {
		if v == 5 {
			img.Data[i] = 0
		}
	}
	b.relabel(2, img)
	file := b.classifier(classify.Vertebra, 1)
	rows, submission := b.predict(file)
	prior, err := predict.Unseen([]classify.Spec{file.Spec}, predict.Options{})
	if err != nil {
		t.Fatal(err)
	}
	answers := b.answers(submission)
	if len(answers) != 4 {
		t.Errorf("%d studies are answered", len(answers))
	}
	for i, dir := range studies {
		a := answers[filepath.Base(dir)]
		for target, p := range a.P {
			want := i < 2 || i == 2 && target == 4
			if (p == prior[target]) != want {
				t.Errorf("study %d, %s: %g, the prior is %g", i, classify.TargetName(target), p, prior[target])
			}
		}
	}
	refused := where(rows, func(r artifacts.Row) bool { return r.Verdict == transforms.Refused })
	if len(refused) != 1 || refused[0].Reason != "damaged_slice" {
		t.Errorf("quarantine: %+v", refused)
	}
	details, err := b.store().GetNamed(t.Context(), path.Join(predict.Dir("test"), predict.DetailsFile))
	if err != nil {
		t.Fatal(err)
	}
	list, err := predict.ReadDetails(details)
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]int{}
	for _, d := range list {
		flags[d.Flag]++
	}
	if diff := cmp.Diff(map[string]int{"refused:damaged_slice": 8, "refused:no_label_mask": 8, "not_found": 1, "ok": 15}, flags); diff != "" {
		t.Error(diff)
	}
}

// relabel replaces a study's label file.
func (b *bench) relabel(study int, img *nifti.Image) {
	b.t.Helper()
	var out bytes.Buffer
	if err := nifti.Write(&out, img); err != nil {
		b.t.Fatal(err)
	}
	if !slices.ContainsFunc(img.Data, func(v byte) bool { return v > 0 }) {
		b.t.Fatal("no label is left")
	}
	if err := os.WriteFile(b.labelFile(study), out.Bytes(), 0o666); err != nil {
		b.t.Fatal(err)
	}
}
