package view

import (
	"context"
	"html/template"
	"math"
	"net/http"
	"strconv"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/crop"
	"github.com/cspine/cspine/transforms/ingest"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/resample"
)

// studyPage is all that is known of a study in a run.
type studyPage struct {
	Run    *run
	Study  *study
	Before string // the studies beside it in the list
	After  string

	Fact     Fact
	Warnings []warning
	Windows  []windowPreset
	// Planes are what is looked at; nil without a volume.
	Planes []planeView
	Levels []levelView
	// Drawn is the digest of the mask that a person drew, and Dice how much it has in common with the run's.
	Drawn string
	Dice  *Dice
	// Patient is the answer for the patient, and Truth what is known.
	Patient *answerView
	Dataset string // where labels come from
	Unready bool   // labels and masks that people drew are still being read
	Has3D   bool
	Others  []runRef // other runs that have the study
	Rows    []artifacts.Row
}

type warning struct{ Code, Detail, Remedy string }

// planeView is one plane of the viewer.
type planeView struct {
	Name string
	// N slices, of which At is shown first. Width and Height are of what is shown in mm.
	N, At         int
	Width, Height float64
	// Source is the address of a slice without its number, and of Mask's.
	Source, Mask, Drawn string
	Full                string
	// Picks are the numbers of the study's slices, for Full.
	Picks []int
	// Still is the picture itself, for a report.
	Still template.URL
}

// levelView is one vertebra.
type levelView struct {
	Level     int
	Name      string
	Found     bool
	Reason    string
	Kept      bool
	Crop      string
	Middle    [3]int // of its box: row, column, slice
	Box       crop.Box
	Places    []crop.Position
	SizeMM    [3]float64
	Dice      float64 // to the drawn mask, NaN without
	Answer    *answerView
	Threshold float64
}

// answerView is what is said of a vertebra or of the patient.
type answerView struct {
	Probability float64
	Flag        string
	Truth       string    // "fractured", "intact" or ""
	Slices      []float64 // by place
}

// windowPreset is a way to show HU as grey.
type windowPreset struct {
	Name, Key string
	From, To  float64 // HU
	// GreyFrom and GreyTo are the same in a volume's grey values.
	GreyFrom, GreyTo float64
}

// presets are a radiologist's usual windows: centre and width in HU.
var presets = []struct {
	name, key     string
	centre, width float64
}{{"bone", "1", 400, 1800}, {"soft tissue", "2", 40, 400}}

func (s *Server) study(r *http.Request) (*Page, error) {
	ctx := r.Context()
	run, err := s.runs.get(ctx, refOf(r))
	if err != nil {
		return nil, err
	}
	of := run.byName[r.PathValue("study")]
	if of == nil {
		return nil, missing("run "+run.Label()+" has no study of this name", "look for it in the list of studies, or in another run")
	}
	p, err := s.studyPage(ctx, run, of)
	if err != nil {
		return nil, err
	}
	scripts := []string{"study.js"}
	if p.Has3D {
		scripts = append(scripts, "volume.js")
	}
	return &Page{Title: "Study " + of.Name, Section: "studies", Template: "study", Content: p, Run: run, Scripts: scripts}, nil
}

func (s *Server) studyPage(ctx context.Context, run *run, of *study) (*studyPage, error) {
	p := &studyPage{Run: run, Study: of, Rows: of.rows, Has3D: s.niivue() != ""}
	p.neighbours()
	index, err := s.studyIndex(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := s.levels(ctx, p, index); err != nil {
		return nil, err
	}
	if of.Volume != "" {
		if err := s.planes(ctx, p, index); err != nil {
			return nil, err
		}
	}
	s.answers(p)
	p.Drawn = s.truth.mask(of.Name)
	p.Unready = !s.truth.ready()
	if p.Drawn == of.Mask {
		p.Drawn = ""
	}
	if p.Drawn != "" && of.Mask != "" {
		d, err := s.measureDice(ctx, diceKey{of.Mask, p.Drawn})
		if err != nil {
			return nil, err
		}
		p.Dice = &d
	}
	for i := range p.Levels {
		p.Levels[i].Dice = math.NaN()
		if p.Dice != nil {
			p.Levels[i].Dice = p.Dice.Levels[i]
		}
	}
	for i := range p.Planes {
		if p.Drawn != "" {
			p.Planes[i].Drawn = href("masks", p.Drawn, p.Planes[i].Name) + "/"
		}
	}
	p.Others, err = s.otherRuns(ctx, run.runRef)
	return p, err
}

// otherRuns are the runs that a study may be compared with: the newest others.
func (s *Server) otherRuns(ctx context.Context, but runRef) (others []runRef, err error) {
	refs, err := s.runs.list(ctx)
	for _, ref := range refs {
		if ref != but && len(others) < 10 {
			others = append(others, ref)
		}
	}
	return others, err
}

// neighbours finds the studies beside it.
func (p *studyPage) neighbours() {
	for i, of := range p.Run.Studies {
		if of != p.Study {
			continue
		}
		if i > 0 {
			p.Before = p.Run.Studies[i-1].Name
		}
		if i+1 < len(p.Run.Studies) {
			p.After = p.Run.Studies[i+1].Name
		}
	}
}

// studyIndex reads the study's index; nil if it has none.
func (s *Server) studyIndex(ctx context.Context, p *studyPage) (*ingest.Index, error) {
	if p.Study.Index == "" {
		return nil, nil
	}
	index, err := readIndex(ctx, s.store, p.Study.Index)
	if err != nil {
		return nil, err
	}
	p.Fact = factOf(index)
	for _, w := range index.Warnings {
		p.Warnings = append(p.Warnings, warning{string(w.Code), w.Nameless().Detail, w.Remedy})
	}
	return index, nil
}

// levels says what was found of each vertebra.
func (s *Server) levels(ctx context.Context, p *studyPage, index *ingest.Index) error {
	var located []crop.Located
	if p.Study.Boxes != "" {
		var err error
		if located, err = readBoxes(ctx, s.store, p.Study.Boxes); err != nil {
			return err
		}
	}
	for level := range volume.Levels {
		l := levelView{Level: level, Name: volume.LevelName(level), Reason: p.Study.NotFound[level], Kept: p.Study.Kept[level], Crop: p.Study.Crops[level]}
		if level < len(located) && located[level].Found {
			b := located[level].Box
			l.Found, l.Box, l.Threshold = true, b, b.Threshold
			l.Middle = [3]int{(b.Row[0] + b.Row[1]) / 2, (b.Column[0] + b.Column[1]) / 2, (b.Slice[0] + b.Slice[1]) / 2}
			if index != nil {
				l.Places = crop.Positions(b, len(index.Slices))
				mm := index.Grid(crop.Grid, crop.Grid, crop.Grid).SpacingMM()
				for axis, sides := range [3][2]int{b.Row, b.Column, b.Slice} {
					l.SizeMM[axis] = float64(sides[1]-sides[0]) * mm[axis]
				}
			}
		}
		p.Levels = append(p.Levels, l)
	}
	return nil
}

// planes says what is to be looked at, and where it begins: in the middle of what was found.
func (s *Server) planes(ctx context.Context, p *studyPage, index *ingest.Index) error {
	vol, err := s.tensors.volume(ctx, p.Study.Volume)
	if err != nil {
		return err
	}
	shape := vol.Shape
	at := [3]int{shape[0] / 2, shape[1] / 2, shape[2] / 2}
	n := 0
	var sum [3]int
	for _, l := range p.Levels {
		if l.Found {
			n++
			for i := range sum {
				sum[i] += l.Middle[i]
			}
		}
	}
	if n > 0 {
		at = [3]int{sum[0] / n, sum[1] / n, sum[2] / n}
	}
	mm := [3]float64{1, 1, 1}
	if index != nil {
		mm = index.Grid(shape[0], shape[1], shape[2]).SpacingMM()
	}
	size := [3]float64{float64(shape[0]) * mm[0], float64(shape[1]) * mm[1], float64(shape[2]) * mm[2]}
	p.Planes = []planeView{
		{Name: sagittal, N: shape[1], At: at[1], Width: size[0], Height: size[2]},
		{Name: coronal, N: shape[0], At: at[0], Width: size[1], Height: size[2]},
		{Name: axial, N: shape[2], At: at[2], Width: size[1], Height: size[0]},
	}
	for i := range p.Planes {
		plane := &p.Planes[i]
		plane.Source = href("slices", p.Study.Volume, plane.Name) + "/"
		if p.Study.Mask != "" {
			plane.Mask = href("masks", p.Study.Mask, plane.Name) + "/"
		}
		if plane.Name == axial && s.options.Data != nil && index != nil {
			plane.Full = href("full", p.Study.Index) + "/"
			plane.Picks = resample.Pick(len(index.Slices), shape[2])
		}
	}
	return s.windows(ctx, p)
}

// windows finds which grey values a volume has for a window's HU, where its record says so.
func (s *Server) windows(ctx context.Context, p *studyPage) error {
	for _, row := range p.Rows {
		if row.Step != "resample" || row.Recipe == "" {
			continue
		}
		recipe, err := artifacts.ParseDigest(row.Recipe)
		if err != nil {
			return err
		}
		record, ok, err := s.store.Lookup(ctx, recipe)
		if err != nil || !ok {
			return err
		}
		scale, ok := resample.ScaleOf(record)
		if !ok {
			return nil
		}
		for _, w := range presets {
			from, to := w.centre-w.width/2, w.centre+w.width/2
			p.Windows = append(p.Windows, windowPreset{w.name, w.key, from, to, scale.Grey(from), scale.Grey(to)})
		}
	}
	return nil
}

// answers says what is predicted and what is known.
func (s *Server) answers(p *studyPage) {
	known, ok := s.truth.fractures(p.Study.Name, p.Run.Name)
	said := func(label int8) string {
		switch {
		case !ok || label == load.Unknown:
			return ""
		case label == 1:
			return "fractured"
		}
		return "intact"
	}
	if ok {
		p.Dataset = known.Dataset
	}
	for _, d := range p.Study.Answers {
		a := &answerView{Probability: d.Probability, Flag: d.Flag, Slices: d.Slices}
		if level := volume.LevelOf(d.Target); level >= 0 {
			p.Levels[level].Answer = a
		} else {
			p.Patient = a
		}
	}
	for i := range p.Levels {
		if a := p.Levels[i].Answer; a != nil {
			a.Truth = said(known.Levels[i])
		} else if t := said(known.Levels[i]); t != "" {
			p.Levels[i].Answer = &answerView{Probability: -1, Truth: t}
		}
	}
	if p.Patient != nil {
		p.Patient.Truth = said(known.Patient)
	} else if t := said(known.Patient); t != "" {
		p.Patient = &answerView{Probability: -1, Truth: t}
	}
}

// Answered tells whether there is anything to say of fractures.
func (p *studyPage) Answered() bool {
	if p.Patient != nil {
		return true
	}
	for _, l := range p.Levels {
		if l.Answer != nil {
			return true
		}
	}
	return false
}

// Percentage is a probability for people.
func (a *answerView) Percentage() string {
	switch {
	case a.Probability < 0:
		return ""
	case a.Probability < 0.001:
		return "< 0.1 %"
	}
	return strconv.FormatFloat(100*a.Probability, 'f', 1, 64) + " %"
}

// Wrong tells whether answer and truth disagree, at one half.
func (a *answerView) Wrong() bool {
	return a.Probability >= 0 && a.Truth != "" && (a.Probability > 0.5) != (a.Truth == "fractured")
}
