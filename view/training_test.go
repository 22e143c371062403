package view

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/score"
	"github.com/cspine/cspine/transforms/train"
)

// putHistory writes what a training recorded of its epochs.
func putHistory(t *testing.T, store *artifacts.Store, run, name string, epochs ...train.Epoch) {
	t.Helper()
	lines, err := train.Lines(epochs)
	if err != nil {
		t.Fatal(err)
	}
	putNamed(t, store, "runs/"+run+"/"+name+"/"+train.LinesFile, lines)
}

// classifierEpochs are of a classifier that learns; the second is the best.
func classifierEpochs() (all []train.Epoch) {
	for i, loss := range []float64{0.7, 0.5, 0.6} {
		v := &train.Validation{Studies: 4, Loss: loss + 0.1, ClassifierScore: &train.ClassifierScore{LogLoss: score.Figure(loss), VertebraAUC: 0.75, PatientAUC: score.Figure(math.NaN())}}
		for level := range v.AUC {
			v.AUC[level] = score.Figure(0.5 + 0.05*float64(level))
		}
		all = append(all, train.Epoch{Epoch: i + 1, Updates: int64(10 * (i + 1)), Rate: 1e-3 / float64(i+1), Loss: loss, Validation: v, Best: i < 2, Seconds: 3, Time: 1.7e9})
	}
	return all
}

// segmenterEpochs are of a segmenter; the last is the best.
func segmenterEpochs() (all []train.Epoch) {
	for i, mean := range []float64{0.2, 0.6} {
		v := &train.Validation{Studies: 4, Loss: 1 - mean, SegmenterScore: &train.SegmenterScore{Mean: mean, Interval: [2]float64{mean - 0.1, mean + 0.1}}}
		for level := range v.Dice {
			v.Dice[level] = mean + 0.01*float64(level)
		}
		all = append(all, train.Epoch{Epoch: i + 1, Rate: 1e-3, Loss: 1 - mean, Validation: v, Best: true, Time: 1.7e9})
	}
	return all
}

// putHeldOut writes what a training answered for studies that it held out, and returns it.
func putHeldOut(t *testing.T, store *artifacts.Store, run, name string, seed uint64, studies ...string) ([]score.Answer, score.Truth) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	truth := score.Truth{}
	var answers []score.Answer
	for _, study := range studies {
		a := score.Answer{Study: study}
		var known [classify.Targets]int8
		for target := range a.P {
			known[target] = int8(r.IntN(3)) - 1 // or unknown
			a.P[target] = math.Round(100*r.Float64()) / 100
			if r.IntN(8) == 0 && target < volume.Levels {
				a.P[target] = math.NaN() // not found
			}
		}
		answers, truth[study] = append(answers, a), known
	}
	var files [2]bytes.Buffer
	if err := score.WriteSubmission(&files[0], answers); err != nil {
		t.Fatal(err)
	}
	if err := score.WriteTruth(&files[1], truth); err != nil {
		t.Fatal(err)
	}
	putNamed(t, store, "runs/"+run+"/"+name+"/"+score.HeldOutFile, files[0].Bytes())
	putNamed(t, store, "runs/"+run+"/"+name+"/"+score.HeldOutTruthFile, files[1].Bytes())
	return answers, truth
}

func studyNames(from, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("study-%02d", from+i))
	}
	return names
}

// trainedStore has the run "bones" of two folds, which are done, and of a third, which is under way. It returns what is judged.
func trainedStore(t *testing.T) (*artifacts.Store, []score.Judged, score.Gaps) {
	t.Helper()
	store := emptyStore(t)
	var answers []score.Answer
	truth := score.Truth{}
	for fold := range 2 {
		name := fmt.Sprintf("fold%d-seed1", fold)
		putHistory(t, store, "bones", name, classifierEpochs()...)
		putNamed(t, store, "runs/bones/"+name+"/classifier.onnx", []byte("a model"))
		a, known := putHeldOut(t, store, "bones", name, uint64(fold), studyNames(20*fold, 20)...)
		answers = append(answers, a...)
		for study, labels := range known {
			truth[study] = labels
		}
	}
	putHistory(t, store, "bones", "fold2-seed1", classifierEpochs()[:1]...)
	rows, gaps := score.Join(answers, truth)
	return store, rows, gaps
}

func TestWithoutTrainingsThePageSaysHowToTrain(t *testing.T) {
	store := emptyStore(t)
	putNamed(t, store, "runs/neck/20260102T030405.000Z.parquet", nil)
	putNamed(t, store, "runs/neck/notes/metrics.jsonl", nil)
	b := openStore(t, store, Options{})
	b.page("/trainings", "This store has no training.", "cspine train classifier")
	for _, path := range []string{"/trainings/neck", "/trainings/none", "/trainings/..", "/trainings/a%2Fb"} {
		if status, _, _ := b.ask(path); status != http.StatusNotFound && status != http.StatusTemporaryRedirect && status != http.StatusMovedPermanently {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestTrainingsAreListed(t *testing.T) {
	store, _, _ := trainedStore(t)
	putHistory(t, store, "neck", "all-seed7", segmenterEpochs()...)
	b := openStore(t, store, Options{})
	b.page("/trainings", `href="/trainings/bones"`, "fold0-seed1, fold1-seed1, fold2-seed1", "2 of 3", "classifier", "all-seed7", "no model yet")
	rows, err := b.pages.trainingsContent(t.Context())
	if err != nil || len(rows) != 2 {
		t.Fatal(rows, err)
	}
	if task := rows[slices.IndexFunc(rows, func(r trainingRow) bool { return r.Run == "neck" })].Tasks[0]; task.Fold != train.NoFold || task.Seed != "7" {
		t.Errorf("%+v", task)
	}
}

func TestAnEvaluationIsThatOfScore(t *testing.T) {
	store, rows, gaps := trainedStore(t)
	b := openStore(t, store, Options{})
	want := score.Evaluate(rows, gaps, score.ByRow)
	p, err := b.pages.trainingContent(t.Context(), "bones", evaluationOptions{threshold: 0.5})
	if err != nil || p.Evaluation == nil {
		t.Fatal(err, p.Problem)
	}
	e := p.Evaluation
	nan := cmp.Comparer(func(a, b score.Figure) bool { return a == b || math.IsNaN(float64(a)) && math.IsNaN(float64(b)) })
	if diff := cmp.Diff(want, e.Report, nan); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{2}, e.Missing); diff != "" {
		t.Error(diff)
	}
	text := b.page("/trainings/bones", fmt.Sprintf("<b>%.4f</b><span>weighted log loss", float64(want.Loss)), fmt.Sprintf("<b>%.4f</b><span>of the best constant", float64(want.Best.Loss)),
		want.Vertebrae.Area.String(), fmt.Sprintf("%d of %d fractured", want.Vertebrae.Fractured, want.Vertebrae.N), "Not answered yet: fold 2", "Reliability of patients", "ROC curves")
	for _, m := range want.Targets {
		if !strings.Contains(text, m.Area.String()) || !strings.Contains(text, "<td class=\"n\">"+m.Brier.String()+"</td>") {
			t.Errorf("%s: %s or %s is not there", m.Target, m.Area, m.Brier)
		}
	}
	chartsAreWhole(t, text)
}

var svgs = regexp.MustCompile(`(?s)<svg class="chart".*?</svg>`)

// chartsAreWhole reads a page's charts as XML.
func chartsAreWhole(t *testing.T, text string) {
	t.Helper()
	found := svgs.FindAllString(text, -1)
	if len(found) == 0 {
		t.Error("there are no charts")
	}
	for _, svg := range found {
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v: %.200s", err, svg)
			}
		}
	}
}

func TestAThresholdCountsAsScoreDoes(t *testing.T) {
	store, rows, gaps := trainedStore(t)
	report := score.Evaluate(rows, gaps, score.ByRow)
	patients := report.Targets[classify.PatientTarget]
	b := openStore(t, store, Options{})
	for _, m := range []score.Measures{report.Vertebrae, patients} {
		for what, o := range map[string]score.Operating{"sensitivity": m.Sensitivity, "specificity": m.Specificity} {
			p, err := b.pages.trainingContent(t.Context(), "bones", evaluationOptions{threshold: float64(o.Threshold)})
			if err != nil {
				t.Fatal(err)
			}
			c := p.Evaluation.Confusion[0]
			if m.Target == patients.Target {
				c = p.Evaluation.Confusion[1]
			}
			if got := map[string]float64{"sensitivity": c.Sensitivity(), "specificity": c.Specificity()}[what]; got != float64(o.Value) {
				t.Errorf("%s of %s at %v: %g, score has %s", what, m.Target, o.Threshold, got, o.Value)
			}
			if c.Found+c.Missed != m.Fractured || c.Found+c.Missed+c.False+c.Intact != m.N {
				t.Errorf("%+v of %d, %d fractured", c, m.N, m.Fractured)
			}
		}
	}
	b.page("/trainings/bones?threshold=0.25&seed=1", "At a threshold of 0.25", `value="0.25"`)
	for _, wrong := range []string{"2", "-1", "NaN", "x"} {
		if status, _, text := b.ask("/trainings/bones?threshold=" + wrong); status != http.StatusBadRequest || !strings.Contains(text, "from 0 to 1") {
			t.Errorf("threshold %s: %d", wrong, status)
		}
	}
	for threshold, want := range map[float64]confusion{0: {What: "a", Found: 2, False: 1}, 0.5: {What: "a", Found: 1, Missed: 1, False: 1}, 0.51: {What: "a", Found: 1, Missed: 1, Intact: 1}, 1: {What: "a", Missed: 2, Intact: 1}} {
		if got := confusionOf("a", score.Labels{P: []float64{0.1, 0.5, 0.9}, Fractured: []bool{true, false, true}}, threshold); got != want {
			t.Errorf("at %g: %+v, want %+v", threshold, got, want)
		}
	}
}

func TestTheWorstAnswersLeadToTheirStudies(t *testing.T) {
	store, rows, _ := trainedStore(t)
	loss := func(row score.Judged) float64 { return score.WeightedLogLoss([]score.Judged{row}, score.ByRow) }
	known := slices.DeleteFunc(slices.Clone(rows), func(row score.Judged) bool { return math.IsNaN(loss(row)) })
	slices.SortStableFunc(known, func(a, b score.Judged) int {
		if loss(a) > loss(b) {
			return -1
		}
		return 1
	})
	first, second := known[0].Study, known[1].Study
	old, newer := runRef{"bones", "20260102T030405.000Z"}, runRef{"other", "20260202T030405.000Z"}
	publishRun(t, store, old, map[string]string{first: "", second: ""})
	publishRun(t, store, newer, map[string]string{first: ""})
	b := openStore(t, store, Options{})
	p, err := b.pages.trainingContent(t.Context(), "bones", evaluationOptions{threshold: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	if n := min(worstCases, len(known)); len(p.Evaluation.Worst) != n {
		t.Errorf("%d cases, want %d", len(p.Evaluation.Worst), n)
	}
	for i, w := range p.Evaluation.Worst {
		if w.Study != known[i].Study || w.Loss != loss(known[i]) {
			t.Errorf("case %d is %s with %g, want %s with %g", i, w.Study, w.Loss, known[i].Study, loss(known[i]))
		}
		for k, a := range w.Answers {
			target := slices.IndexFunc([]string{"C1", "C2", "C3", "C4", "C5", "C6", "C7", "patient"}, func(name string) bool { return name == a.Target })
			one := known[i]
			for other := range one.Truth {
				if other != target {
					one.Truth[other] = load.Unknown
				}
			}
			if a.P != one.P[target] || a.Fractured != (one.Truth[target] == 1) || a.Loss != loss(one) || k > 0 && a.Loss > w.Answers[k-1].Loss {
				t.Errorf("case %d, answer %d: %+v", i, k, a)
			}
		}
	}
	for i, want := range []string{newer.Path() + "/studies/" + first, old.Path() + "/studies/" + second, ""} {
		if got := p.Evaluation.Worst[i].Path; got != want {
			t.Errorf("case %d leads to %q, want %q", i, got, want)
		}
	}
	b.page("/trainings/bones", `href="`+newer.Path()+"/studies/"+first+`"`)
}

func TestATrainingUnderWayShowsWhatItRecorded(t *testing.T) {
	store := emptyStore(t)
	putHistory(t, store, "bones", "fold0-seed1", classifierEpochs()[:2]...)
	b := openStore(t, store, Options{})
	text := b.page("/trainings/bones", "under way, or stopped", "Loss of fold0-seed1 by epoch", "Learning rate of fold0-seed1", "AUC of fold0-seed1", "No training has answered its held-out studies yet",
		"log loss 0.5000", "Weighted log loss of held-out studies by epoch")
	chartsAreWhole(t, text)
	p, err := b.pages.trainingContent(t.Context(), "bones", evaluationOptions{})
	if err != nil || p.Evaluation != nil || p.Stage != train.ClassifierStage || p.Tasks[0].Best.Epoch != 2 || p.Tasks[0].Ended().Unix() != 1.7e9 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestATrainingWithoutHeldOutStudiesHasItsCurves(t *testing.T) {
	store := emptyStore(t)
	epochs := classifierEpochs()
	for i := range epochs {
		epochs[i].Validation, epochs[i].Best = nil, false
	}
	putHistory(t, store, "bones", "all-seed1", epochs...)
	text := openStore(t, store, Options{}).page("/trainings/bones", "Loss of all-seed1 by epoch")
	chartsAreWhole(t, text)
}

func TestAFailedTrainingSaysWhy(t *testing.T) {
	store := emptyStore(t)
	putHistory(t, store, "bones", "fold0-seed1", classifierEpochs()[:1]...)
	putHistory(t, store, "bones", "fold1-seed1", classifierEpochs()...)
	manifests := func(id string, rows ...artifacts.Row) {
		file, err := artifacts.WriteManifest(rows)
		if err != nil {
			t.Fatal(err)
		}
		putNamed(t, store, "runs/bones/"+id+".train.parquet", file)
	}
	refused := artifacts.Row{Step: "train", Verdict: transforms.Refused, Reason: "diverged", Detail: "the loss is NaN", Remedy: "lower the rate"}
	older, newest := refused, refused
	older.Subject, newest.Subject = "fold1-seed1", "fold0-seed1"
	manifests("20260102T030405.000Z", older)
	manifests("20260103T030405.000Z", newest, artifacts.Row{Subject: "fold1-seed1", Step: "train", Verdict: transforms.OK})
	b := openStore(t, store, Options{})
	b.page("/trainings/bones", "diverged", "the loss is NaN", "lower the rate")
	p, err := b.pages.trainingContent(t.Context(), "bones", evaluationOptions{})
	if err != nil || p.Tasks[0].Reason != "diverged" || p.Tasks[1].Reason != "" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestAModelsNoteIsRead(t *testing.T) {
	store := emptyStore(t)
	putHistory(t, store, "bones", "fold0-seed1", classifierEpochs()...)
	recipe := artifacts.Recipe{Transform: "train", Version: 1}
	res, err := store.Do(t.Context(), recipe, func(context.Context) (artifacts.Content, error) {
		return artifacts.Content{Data: []byte("a model"), Note: []byte(`{"fold":0,"train_studies":1234,"epochs":3,"best_epoch":2,"last_checkpoint":"","history":""}`)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	file, err := artifacts.WriteManifest([]artifacts.Row{{Subject: "fold0-seed1", Step: "train", Recipe: recipe.Digest().String(), Digest: res.Output.Digest.String(), Verdict: transforms.OK}})
	if err != nil {
		t.Fatal(err)
	}
	putNamed(t, store, "runs/bones/20260102T030405.000Z.train.parquet", file)
	putNamed(t, store, "runs/bones/fold0-seed1/classifier.onnx", []byte("a model"))
	openStore(t, store, Options{}).page("/trainings/bones", count(1234), "/artifacts/"+res.Output.Digest.String(), "done")
}

func TestASegmentersDiceAreThoseOfItsBestEpoch(t *testing.T) {
	store := emptyStore(t)
	putHistory(t, store, "neck", "fold0-seed1", segmenterEpochs()...)
	putHistory(t, store, "neck", "fold1-seed1", segmenterEpochs()[:1]...)
	putNamed(t, store, "runs/neck/fold0-seed1/segmenter.onnx", []byte("a model"))
	b := openStore(t, store, Options{})
	text := b.page("/trainings/neck", "Dice by level", "0.6600", "0.2000", "0.6000 [0.5000, 0.7000], 4 studies", "cspine evaluate segmenter", "Mean dice of held-out studies by epoch")
	if strings.Contains(text, "Out-of-fold") {
		t.Error("a segmenter has no out-of-fold answers")
	}
	chartsAreWhole(t, text)
	p, err := b.pages.trainingContent(t.Context(), "neck", evaluationOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for level, row := range p.Dice {
		best := segmenterEpochs()
		if row.Dice[0] != best[1].Validation.Dice[level] || row.Dice[1] != best[0].Validation.Dice[level] {
			t.Errorf("%s: %v", row.Name, row.Dice)
		}
	}
}

func TestTheWorstMasksLeadToTheirStudies(t *testing.T) {
	store, of := emptyStore(t), "1.2.5"
	file, err := artifacts.WriteManifest([]artifacts.Row{{Subject: of, Step: "index", Verdict: transforms.OK}})
	if err != nil {
		t.Fatal(err)
	}
	putNamed(t, store, "runs/neck/20260102T030405.000Z.parquet", file)
	for fold, studies := range [][]score.StudyDice{{{Study: "1.2.3", Mean: 0.9}, {Study: of, Mean: 0.4, Dice: [7]float64{0.4, 0.4, 0.01, 0.4, 0.4, 0.4, 0.4}}}, {{Study: "1.2.4", Mean: 0.7}}} {
		var table bytes.Buffer
		if err := score.WriteDice(&table, studies); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("fold%d-seed1", fold)
		putHistory(t, store, "neck", name, segmenterEpochs()...)
		putNamed(t, store, "runs/neck/"+name+"/segmenter.onnx", []byte("a model"))
		putNamed(t, store, "runs/neck/"+name+"/"+score.HeldOutDiceFile, table.Bytes())
	}
	b := openStore(t, store, Options{})
	text := b.page("/trainings/neck", "Worst masks of held-out studies", `/studies/`+of+`">`+of+`</a>`, `bad">0.010</td>`, "1.2.4", "fold1-seed1")
	if strings.Index(text, of) > strings.Index(text, "1.2.4") || strings.Index(text, "1.2.4") > strings.Index(text, "1.2.3") {
		t.Error("the worst is not the first")
	}
}

func TestOneOfSeveralSeedsIsJudged(t *testing.T) {
	store := emptyStore(t)
	for _, seed := range []string{"1", "2"} {
		name := "fold0-seed" + seed
		putHistory(t, store, "bones", name, classifierEpochs()...)
		putNamed(t, store, "runs/bones/"+name+"/classifier.onnx", []byte("a model"))
		putHeldOut(t, store, "bones", name, uint64(len(seed)), studyNames(0, 10)...)
	}
	b := openStore(t, store, Options{})
	b.page("/trainings/bones", "Seeds: <b>1</b>", `href="?seed=2&amp;threshold=0.5"`)
	b.page("/trainings/bones?seed=2", "Seeds: <a", "<b>2</b>", "answered by the training that held it out: fold0-seed2")
	if status, _, text := b.ask("/trainings/bones?seed=3"); status != http.StatusNotFound || !strings.Contains(text, "choose one of the seeds 1, 2") {
		t.Errorf("%d", status)
	}
}

func TestAnswersThatCannotBeJudgedAreToldOf(t *testing.T) {
	store := emptyStore(t)
	putHistory(t, store, "bones", "fold0-seed1", classifierEpochs()...)
	putNamed(t, store, "runs/bones/fold0-seed1/"+score.HeldOutFile, []byte("this is no table"))
	openStore(t, store, Options{}).page("/trainings/bones", "The answers for held-out studies can't be judged", "Loss of fold0-seed1 by epoch")
}

func TestTrainingsStandAlone(t *testing.T) {
	store, rows, _ := trainedStore(t)
	ref := runRef{"bones", "20260102T030405.000Z"}
	publishRun(t, store, ref, map[string]string{rows[0].Study: ""})
	putHistory(t, store, "bones"+patientRuns, "fold0-seed1", classifierEpochs()...)
	b := openStore(t, store, Options{})
	var text string
	section := func(file string, content any) error {
		page, err := execute(&Page{Title: "x", Template: file, Content: content, Alone: true})
		text += string(page)
		return err
	}
	if err := b.pages.reportEvaluation(t.Context(), &run{runRef: ref}, section); err != nil {
		t.Fatal(err)
	}
	for _, not := range []string{"href=", "src=", "<form", "<script", " style="} {
		if strings.Contains(text, not) {
			t.Errorf("a page that stands alone has %s", not)
		}
	}
	for _, want := range []string{"Trainings of run bones", "Trainings of run bones-type2", "Worst answers"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not there", want)
		}
	}
	text = ""
	if err := b.pages.reportEvaluation(t.Context(), &run{runRef: runRef{"none", "x"}}, section); err != nil || text != "" {
		t.Errorf("a run without trainings: %v", err)
	}
}
