package score

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/cspine/cspine/transforms/classify"
)

var nan = math.NaN()

func TestSubmissionsHaveTheCompetitionsRows(t *testing.T) {
	answers := []Answer{
		{"1.2", [classify.Targets]float64{0.1, 1. / 3, 0, 1, 1e-4, 0.9999, 0.5, 0.25}},
		{"1.1", [classify.Targets]float64{nan, 0.5, nan, nan, nan, nan, nan, 1}},
	}
	var out bytes.Buffer
	if err := WriteSubmission(&out, answers); err != nil {
		t.Fatal(err)
	}
	want := "row_id,fractured\n1.2_C1,0.1\n1.2_C2,0.3333333333333333\n1.2_C3,0\n1.2_C4,1\n1.2_C5,0.0001\n1.2_C6,0.9999\n1.2_C7,0.5\n" +
		"1.2_patient_overall,0.25\n1.1_C2,0.5\n1.1_patient_overall,1\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again, err := ReadSubmission(&out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(answers, again, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[0-9a-zA-Z_.,"]{1,12}`), 0, 6, rapid.ID).Draw(r, "names")
		var answers []Answer
		for _, name := range names {
			a := Answer{Study: name}
			for i := range a.P {
				a.P[i] = rapid.Float64Range(0, 1).Draw(r, "p")
				if i > 0 && rapid.IntRange(0, 4).Draw(r, "missing") == 0 {
					a.P[i] = nan
				}
			}
			answers = append(answers, a)
		}
		var out bytes.Buffer
		if err := WriteSubmission(&out, answers); err != nil {
			r.Fatal(err)
		}
		got, err := ReadSubmission(&out)
		if err != nil {
			r.Fatal(err)
		}
		if diff := cmp.Diff(answers, got, cmpopts.EquateNaNs()); diff != "" {
			r.Fatal(diff)
		}
	})
}

func TestWhatIsNoSubmissionIsNotWritten(t *testing.T) {
	for name, a := range map[string][]Answer{
		"no name":     {{}},
		"twice":       {{Study: "1"}, {Study: "1"}},
		"above one":   {{Study: "1", P: [classify.Targets]float64{1.5}}},
		"infinite":    {{Study: "1", P: [classify.Targets]float64{math.Inf(1)}}},
		"two lines":   {{Study: "1\n2"}},
		"outer space": {{Study: "1 "}},
	} {
		if err := WriteSubmission(&bytes.Buffer{}, a); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

func TestSubmissionsMayComeInAnyOrder(t *testing.T) {
	for name, file := range map[string]string{
		"plain":   "row_id,fractured\n1.2_C2,0.5\n1.3_C1,1\n1.2_patient_overall,0\n",
		"windows": "\uFEFFrow_id,fractured\r\n1.2_C2,0.5\r\n1.3_C1,1e0\r\n1.2_patient_overall,0",
		"columns": "fractured,x,row_id\n 0.5,,1.2_C2\n1,,1.3_C1\n0,y, 1.2_patient_overall\n",
	} {
		got, err := ReadSubmission(strings.NewReader(file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want := []Answer{
			{"1.2", [classify.Targets]float64{nan, 0.5, nan, nan, nan, nan, nan, 0}},
			{"1.3", [classify.Targets]float64{1, nan, nan, nan, nan, nan, nan, nan}},
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestBadSubmissionsAreRefusedByLine(t *testing.T) {
	const head = "row_id,fractured\n"
	for name, c := range map[string]struct{ file, says string }{
		"empty":   {"", "header row_id,fractured"},
		"columns": {"row_id,p\n", "line 1"},
		"target":  {head + "1_C1,0\n1_C8,0\n", `line 3: the row "1_C8"`},
		"study":   {head + "_C1,0\n", "line 2: a study has no name"},
		"twice":   {head + "1_C1,0\n2_C1,0\n1_C1,0\n", "line 4: C1 of study 1"},
		"text":    {head + "1_C1,high\n", `line 2: "high"`},
		"nan":     {head + "1_C1,NaN\n", "line 2"},
		"above":   {head + "1_C1,1.01\n", "line 2"},
		"short":   {head + "1_C1\n", "line 2"},
		"garbage": {head + "\"1_C1,0\n", "line 2"},
		"long":    {head + strings.Repeat("x", 100) + "_C9,0\n", "line 2"},
	} {
		if _, err := ReadSubmission(strings.NewReader(c.file)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q", name, err, c.says)
		}
	}
}

// endless is a table without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '\n'
	}
	return len(p), nil
}

func TestTablesWithoutEndAreRefused(t *testing.T) {
	if _, err := readSubmission(&bounded{endless{}, 10000}); err == nil || !strings.Contains(err.Error(), "longer than 256 MiB") {
		t.Errorf("submission: %v", err)
	}
	if _, err := readTruth(&bounded{endless{}, 10000}); err == nil || !strings.Contains(err.Error(), "longer than 256 MiB") {
		t.Errorf("truth: %v", err)
	}
}

func TestTruthIsTrainCSV(t *testing.T) {
	got, err := ReadTruth(strings.NewReader("StudyInstanceUID,patient_overall,C1,C2,C3,C4,C5,C6,C7\n1.2,1,0,1,0,0,0,0,0\n1.3,,0,,0,0,0,0,1\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Truth{"1.2": {0, 1, 0, 0, 0, 0, 0, 1}, "1.3": {0, -1, 0, 0, 0, 0, 1, -1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var out bytes.Buffer
	if err := WriteTruth(&out, want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("StudyInstanceUID,patient_overall,C1,C2,C3,C4,C5,C6,C7\n1.2,1,0,1,0,0,0,0,0\n1.3,,0,,0,0,0,0,1\n", out.String()); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	if err := WriteTruth(&out, Truth{"": {}}); err == nil {
		t.Error("a study without a name was written")
	}
	if _, err := ReadTruth(strings.NewReader("StudyInstanceUID,patient_overall,C1,C2,C3,C4,C5,C6,C7\n1.2,2,0,1,0,0,0,0,0\n")); err == nil ||
		!strings.Contains(err.Error(), "line 2: patient_overall") {
		t.Errorf("a label of 2: %v", err)
	}
}

func FuzzReadSubmission(f *testing.F) {
	f.Add([]byte("row_id,fractured\n1.2_C1,0.5\n1.2_patient_overall,1e-4\n"))
	f.Add([]byte("\uFEFFfractured,row_id\r\n0,\"a,b_C7\"\r\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		answers, err := ReadSubmission(bytes.NewReader(file))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := WriteSubmission(&out, answers); err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		again, err := ReadSubmission(&out)
		if err != nil || !cmp.Equal(answers, again, cmpopts.EquateNaNs()) {
			t.Fatalf("%v is read back as %v, %v", answers, again, err)
		}
	})
}

func FuzzReadTruth(f *testing.F) {
	f.Add([]byte("StudyInstanceUID,patient_overall,C1,C2,C3,C4,C5,C6,C7\n1.2,1,0,1,0,0,0,,0\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		truth, _ := ReadTruth(bytes.NewReader(file))
		for study, labels := range truth {
			for _, l := range labels {
				if study == "" || l < -1 || l > 1 {
					t.Fatalf("study %q has %v", study, labels)
				}
			}
		}
	})
}
