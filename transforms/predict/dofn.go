package predict

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"golang.org/x/sync/errgroup"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/score"
	"github.com/cspine/cspine/transforms/shard"
)

func init() {
	register.DoFn4x1[context.Context, transforms.Classified, func(int, transforms.Answered), func(artifacts.Row), error](&VerdictFn{})
	register.DoFn3x0[context.Context, artifacts.Row, func(int, artifacts.Row)](&FlaggedFn{})
	register.DoFn5x1[context.Context, int, func(*transforms.Answered) bool, func(*artifacts.Row) bool, func(artifacts.Row), error](&WriteFn{})
}

// Version is raised when equal logits may make another verdict. It belongs to the recipe.
const Version = 1

// NoVertebra is the reason of a study in which none was found.
const NoVertebra refusal.Code = "no_vertebra"

// VerdictFn makes the verdict of each study of what the classifiers say.
type VerdictFn struct {
	transforms.Site
	Files   []classify.File
	Options Options
}

// ProcessElement emits the study with its verdict.
func (f *VerdictFn) ProcessElement(ctx context.Context, c transforms.Classified, emit func(int, transforms.Answered), outcome func(artifacts.Row)) error {
	study := transforms.Answered{Folder: c.Study.Folder, UID: c.Study.UID, Pending: c.Pending}
	ok, err := f.Run(ctx, "verdict", study.UID, &study.Pending, outcome, func(r *transforms.Report) error {
		recipe, err := f.recipe(c)
		if err != nil {
			return err
		}
		return r.Once(ctx, []any{study, recipe.Digest()}, &study, func() error { return f.judge(ctx, r, c, recipe, &study) })
	})
	if ok {
		emit(0, study)
	}
	return err
}

// judge makes or finds a study's verdict.
func (f *VerdictFn) judge(ctx context.Context, r *transforms.Report, c transforms.Classified, recipe artifacts.Recipe, study *transforms.Answered) error {
	res, err := r.Do(ctx, "", recipe, func(ctx context.Context) (artifacts.Content, error) {
		said, err := f.said(ctx, r, c)
		if err != nil {
			return artifacts.Content{}, err
		}
		v, err := Study(said, f.Options)
		if err != nil {
			return artifacts.Content{}, err
		}
		data, err := json.Marshal(paper(v, c.Study.Samples))
		return artifacts.Content{Data: data}, err
	})
	if err != nil {
		return err
	}
	study.Verdict = res.Output.Digest.String()
	if !slices.ContainsFunc(c.Study.Samples, func(s transforms.Sample) bool { return s.Found }) {
		r.Row(artifacts.Row{Verdict: transforms.NotFound, Hit: true, Reason: string(NoVertebra),
			Detail: "no cervical vertebra was found: the study is answered by the priors",
			Remedy: "look at it with --pictures; a neck in it asks for a better segmenter"})
	}
	return nil
}

func (f *VerdictFn) recipe(c transforms.Classified) (artifacts.Recipe, error) {
	o, err := f.Options.WithDefaults()
	if err != nil {
		return artifacts.Recipe{}, err
	}
	decimal := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	recipe := artifacts.Recipe{Transform: "verdict", Version: Version, Params: []artifacts.Param{
		{Name: "top", Value: strconv.Itoa(o.Top)},
		{Name: "product", Value: decimal(o.Product)},
		{Name: "head", Value: decimal(o.Head)},
		{Name: "floor", Value: decimal(o.Floor)},
		{Name: "ceiling", Value: decimal(o.Ceiling)},
	}}
	// Of the samples what the verdict keeps, and not where their masks come from.
	where, err := artifacts.DigestOfJSON(paper(nil, c.Study.Samples).Levels)
	if err != nil {
		return recipe, err
	}
	recipe.Inputs = append(recipe.Inputs, artifacts.Input{Name: "boxes", Digest: where})
	for _, file := range f.Files {
		model, err := artifacts.ParseDigest(file.Digest)
		if err != nil {
			return recipe, err
		}
		recipe.Inputs = append(recipe.Inputs, artifacts.Input{Name: "model", Digest: model})
	}
	for _, digest := range c.Logits {
		if digest == "" {
			continue // the boxes say which are not there
		}
		logits, err := artifacts.ParseDigest(digest)
		if err != nil {
			return recipe, err
		}
		recipe.Inputs = append(recipe.Inputs, artifacts.Input{Name: "logits", Digest: logits})
	}
	return recipe, nil
}

// said reads the classifiers' answers.
func (f *VerdictFn) said(ctx context.Context, r *transforms.Report, c transforms.Classified) ([]Said, error) {
	rest := c.Logits
	next := func(s classify.Spec) ([]float32, error) {
		if len(rest) == 0 {
			return nil, fmt.Errorf("predict: fewer answers than the %d classifiers give", len(f.Files))
		}
		digest := rest[0]
		rest = rest[1:]
		if digest == "" {
			return nil, nil
		}
		content, err := r.Get(ctx, digest)
		if err != nil {
			return nil, err
		}
		return classify.Decode(content, s)
	}
	var all []Said
	for _, file := range f.Files {
		s := Said{Spec: file.Spec}
		if file.Spec.Type == classify.Patient {
			logits, err := next(s.Spec)
			if err != nil {
				return nil, err
			}
			for level, sample := range c.Study.Samples {
				if sample.Found && logits != nil {
					s.Slices[level] = logits[level*classify.Positions:][:classify.Positions]
				}
			}
			if logits != nil {
				s.Patient = logits[len(logits)-1]
			}
		} else {
			for level := range s.Slices {
				var err error
				if s.Slices[level], err = next(s.Spec); err != nil {
					return nil, err
				}
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// FlaggedFn keeps the rows of studies that went no further.
type FlaggedFn struct{}

// ProcessElement emits the row, with the key of all, if its study was refused or skipped.
func (*FlaggedFn) ProcessElement(_ context.Context, row artifacts.Row, emit func(int, artifacts.Row)) {
	if row.Verdict == transforms.Refused || row.Verdict == transforms.Skipped {
		emit(0, row)
	}
}

// Dir is where a run's predictions lie in the store.
func Dir(run string) string { return path.Join("predictions", run) }

// The files of a run's predictions.
const (
	SubmissionFile = "submission.csv"
	DetailsFile    = "predictions.parquet"
)

// WriteFn writes a run's predictions: the submission, and the details. It replaces what an earlier run of this name wrote.
type WriteFn struct {
	transforms.Site
	Run     string
	Files   []classify.File
	Options Options
}

// ProcessElement takes all verdicts, and the rows of all studies that have none.
func (f *WriteFn) ProcessElement(ctx context.Context, _ int, answered func(*transforms.Answered) bool, flagged func(*artifacts.Row) bool, outcome func(artifacts.Row)) error {
	store, err := f.OpenStore(ctx)
	if err != nil {
		return err
	}
	entries, refused, err := f.read(ctx, store, all(answered), outcome)
	if err != nil {
		return err
	}
	unseen, err := Unseen(specs(f.Files), f.Options)
	if err != nil {
		return err
	}
	for _, row := range append(all(flagged), refused...) {
		entries = append(entries, entry{Study: f.studyName(row.Subject), P: unseen, Reason: row.Reason})
	}
	// A study is answered once. One that was refused gives way to one that was not.
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.Study, b.Study), cmp.Compare(len(a.Reason), len(b.Reason)), cmp.Compare(a.Reason, b.Reason))
	})
	entries = slices.CompactFunc(entries, func(a, b entry) bool { return a.Study == b.Study })

	var answers []score.Answer
	for _, e := range entries {
		answers = append(answers, score.Answer{Study: e.Study, P: e.P})
	}
	var submission bytes.Buffer
	if err := score.WriteSubmission(&submission, answers); err != nil {
		return err
	}
	details, err := writeDetails(entries, f.Files)
	if err != nil {
		return err
	}
	if err := store.PutNamed(ctx, path.Join(Dir(f.Run), DetailsFile), details); err != nil {
		return err
	}
	return store.PutNamed(ctx, path.Join(Dir(f.Run), SubmissionFile), submission.Bytes())
}

// studyName is what a study that was reported under a name is called in the submission: its UID, or the name of its folder. What a table can't hold
// becomes an underscore: a folder's name may be anything, and must not cost the others their answers.
func (f *WriteFn) studyName(subject string) string {
	if subject == "." {
		location, _, _ := strings.Cut(f.Data, "?")
		subject = strings.TrimRight(location, "/")
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.IsSpace(r) {
			return '_'
		}
		return r
	}, path.Base(subject))
}

// reading is how many verdicts are read at a time.
const reading = 16

// read reads the verdicts. It returns the rows of the studies whose verdict can't be read, and reports them as it does those
// that lie in two folders.
func (f *WriteFn) read(ctx context.Context, store *artifacts.Store, studies []transforms.Answered, outcome func(artifacts.Row)) (entries []entry, refused []artifacts.Row, err error) {
	slices.SortFunc(studies, func(a, b transforms.Answered) int {
		return cmp.Or(cmp.Compare(a.UID, b.UID), cmp.Compare(a.Folder, b.Folder))
	})
	var once []transforms.Answered
	for _, s := range studies {
		if n := len(once); n > 0 && once[n-1].UID == s.UID {
			outcome(artifacts.Row{Subject: s.UID, Step: "predict", Verdict: transforms.Refused, Reason: string(shard.DuplicateStudy),
				Detail: fmt.Sprintf("study %s lies in %s and in %s; the first is answered", s.UID, once[n-1].Folder, s.Folder),
				Remedy: "remove one of the two folders"})
			continue
		}
		once = append(once, s)
	}
	papers, rows := make([]*verdictPaper, len(once)), make([][]artifacts.Row, len(once))
	g, reads := errgroup.WithContext(ctx)
	g.SetLimit(reading)
	for i, s := range once {
		g.Go(func() error {
			keep := func(row artifacts.Row) { rows[i] = append(rows[i], row) }
			_, err := transforms.Run(reads, store, "predict", s.UID, keep, func(r *transforms.Report) error {
				content, err := r.Get(reads, s.Verdict)
				if err != nil {
					return err
				}
				papers[i] = &verdictPaper{}
				return json.Unmarshal(content, papers[i])
			})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	for i, s := range once {
		for _, row := range rows[i] {
			outcome(row)
			refused = append(refused, row)
		}
		if len(rows[i]) == 0 {
			entries = append(entries, entry{Study: s.UID, P: papers[i].P, Paper: papers[i]})
		}
	}
	return entries, refused, nil
}

func specs(files []classify.File) []classify.Spec {
	return classify.Ensemble{Files: files}.Specs()
}

func all[T any](next func(*T) bool) []T {
	var list []T
	for {
		var v T
		if !next(&v) {
			return list
		}
		list = append(list, v)
	}
}

// verdictPaper is a verdict as an artifact.
type verdictPaper struct {
	P      [classify.Targets]float64   `json:"probability"`
	Alone  [][classify.Targets]float64 `json:"alone"`
	Levels [volume.Levels]levelPaper   `json:"levels"`
}

type levelPaper struct {
	Found      bool      `json:"found"`
	Box        []int     `json:"box,omitempty"`
	SourceBox  []int     `json:"source_box,omitempty"`
	ZPositions []int     `json:"z_positions,omitempty"`
	Slices     []float64 `json:"slices,omitempty"`
}

// paper writes down a verdict, which may be nil, with where the vertebrae lie.
func paper(v *Verdict, samples []transforms.Sample) *verdictPaper {
	p := &verdictPaper{}
	for level, s := range samples {
		p.Levels[level] = levelPaper{Found: s.Found, Box: s.Box, SourceBox: s.SourceBox, ZPositions: s.ZPositions}
	}
	if v != nil {
		p.P, p.Alone = v.P, v.Alone
		for level, slices := range v.Slices {
			p.Levels[level].Slices = slices
		}
	}
	return p
}
