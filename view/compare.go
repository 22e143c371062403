package view

import (
	"cmp"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cspine/cspine/internal/volume"
)

// comparePage is what two runs have otherwise.
type comparePage struct {
	A, B   *run
	Runs   []runRef
	Common int
	// OnlyA and OnlyB count studies that one of them has masks of.
	OnlyA, OnlyB int
	Same         int // masks that are equal to the byte
	Left         int // that are not measured yet
	Rows         []compareRow
	// Crops counts vertebrae by what became of their crops.
	Crops cropCounts
}

type cropCounts struct{ Same, Kept, Made, Lost, Found int }

// Cropped tells whether both runs made crops.
func (p *comparePage) Cropped() bool { return p.A.Cropped && p.B.Cropped }

// compareRow is one study in both.
type compareRow struct {
	Study  string
	Known  bool
	Waits  bool // for what is not known yet
	Moved  Moved
	Equal  bool // masks
	Levels [volume.Levels]levelChange
	Least  float64 // dice of the level that has least in common
	Most   float64 // mm that a box moved at most
}

// levelChange says what became of a vertebra's crop.
type levelChange struct {
	Crop string // "same", "kept", "made", "lost", "found" or ""
	Dice float64
	MM   float64
}

// parseRef reads "name/id".
func parseRef(text string) (runRef, bool) {
	name, id, ok := strings.Cut(text, "/")
	return runRef{name, id}, ok && name != "" && id != ""
}

// Value writes what parseRef reads.
func (r runRef) Value() string { return r.Name + "/" + r.ID }

// pair reads the two runs that are to be compared.
func (s *Server) pair(r *http.Request) (a, b *run, refs []runRef, err error) {
	if refs, err = s.runs.list(r.Context()); err != nil {
		return nil, nil, nil, err
	}
	if len(refs) < 2 {
		return nil, nil, refs, nil
	}
	refB, okB := parseRef(r.FormValue("b"))
	if !okB {
		refB = refs[0]
	}
	refA, okA := parseRef(r.FormValue("a"))
	if !okA {
		refA = refs[1]
		if refA == refB {
			refA = refs[0]
		}
	}
	if a, err = s.runs.get(r.Context(), refA); err != nil {
		return nil, nil, nil, err
	}
	b, err = s.runs.get(r.Context(), refB)
	return a, b, refs, err
}

func (s *Server) compare(r *http.Request) (*Page, error) {
	a, b, refs, err := s.pair(r)
	if err != nil {
		return nil, err
	}
	page := &Page{Title: "Compare", Section: "compare", Template: "compare"}
	p := &comparePage{A: a, B: b, Runs: refs}
	page.Content = p
	if a == nil {
		return page, nil
	}
	page.Title = "Compare " + a.Label() + " with " + b.Label()
	for _, of := range a.Studies {
		other := b.byName[of.Name]
		if of.Mask == "" || other == nil || other.Mask == "" {
			if of.Mask != "" {
				p.OnlyA++
			}
			continue
		}
		p.Common++
		row := s.compareStudies(a, b, of.Name)
		for _, l := range row.Levels {
			switch l.Crop {
			case "same":
				p.Crops.Same++
			case "kept":
				p.Crops.Kept++
			case "made":
				p.Crops.Made++
			case "lost":
				p.Crops.Lost++
			case "found":
				p.Crops.Found++
			}
		}
		switch {
		case row.Equal:
			p.Same++
		case row.Waits:
			p.Left++
		}
		p.Rows = append(p.Rows, row)
	}
	for _, of := range b.Studies {
		if other := a.byName[of.Name]; of.Mask != "" && (other == nil || other.Mask == "") {
			p.OnlyB++
		}
	}
	slices.SortStableFunc(p.Rows, func(x, y compareRow) int {
		return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(x.Moved.Dice.Mean, y.Moved.Dice.Mean), cmp.Compare(x.Study, y.Study))
	})
	p.Rows = p.Rows[:min(len(p.Rows), 200)]
	return page, nil
}

// rank puts first what is measured, then what is not yet, then what is equal.
func rank(r compareRow) int {
	switch {
	case r.Equal:
		return 2
	case !r.Known:
		return 1
	}
	return 0
}

// compareStudies says what a study has otherwise in two runs.
func (s *Server) compareStudies(before, after *run, name string) compareRow {
	a, b := before.byName[name], after.byName[name]
	row := compareRow{Study: a.Name, Equal: a.Mask == b.Mask, Least: math.NaN(), Most: math.NaN()}
	if !row.Equal {
		key := movedKeyOf(a, b)
		row.Moved, row.Known = s.moved.get(key)
		row.Waits = s.moved.waits(key)
	}
	for level := range volume.Levels {
		l := &row.Levels[level]
		l.Dice, l.MM = math.NaN(), math.NaN()
		switch was, is := a.Crops[level], b.Crops[level]; {
		case !before.Cropped || !after.Cropped, was == "" && is == "":
		case was == "":
			l.Crop = "found"
		case is == "":
			l.Crop = "lost"
		case b.Kept[level]:
			l.Crop = "kept"
		case was == is:
			l.Crop = "same"
		default:
			l.Crop = "made"
		}
		if row.Known {
			l.Dice, l.MM = row.Moved.Dice.Levels[level], row.Moved.Shift[level]
			if math.IsNaN(row.Least) || l.Dice < row.Least {
				row.Least = l.Dice
			}
			if math.IsNaN(row.Most) || l.MM > row.Most {
				row.Most = l.MM
			}
		}
	}
	return row
}

// compareStudyPage shows one study of two runs.
type compareStudyPage struct {
	A, B   *run
	Row    compareRow
	Planes []planeView
	MasksA []string // addresses by plane
	MasksB []string
	Query  string
}

func (s *Server) compareStudy(r *http.Request) (*Page, error) {
	a, b, _, err := s.pair(r)
	if err != nil {
		return nil, err
	}
	name := r.PathValue("study")
	if a == nil || a.byName[name] == nil || b.byName[name] == nil {
		return nil, missing("not both runs have this study", "choose two runs that have it")
	}
	of, other := a.byName[name], b.byName[name]
	if !of.Masked() || !other.Masked() {
		return nil, missing("not both runs have a mask of this study", "choose two runs that have one")
	}
	p := &compareStudyPage{A: a, B: b, Query: CompareQuery(a.runRef, b.runRef)}
	// Whoever looks at one study waits for it.
	p.Row = s.compareStudies(a, b, name)
	if !p.Row.Known && !p.Row.Equal {
		key := movedKeyOf(of, other)
		moved, err := s.measureMoved(r.Context(), key)
		if err != nil {
			return nil, err
		}
		s.moved.put(key, moved)
		p.Row = s.compareStudies(a, b, name)
	}
	shown := &studyPage{Run: b, Study: other, Rows: other.rows}
	index, err := s.studyIndex(r.Context(), shown)
	if err != nil {
		return nil, err
	}
	if err := s.levels(r.Context(), shown, index); err != nil {
		return nil, err
	}
	if err := s.planes(r.Context(), shown, index); err != nil {
		return nil, err
	}
	p.Planes = shown.Planes
	for i := range p.Planes {
		p.Planes[i].Full, p.Planes[i].Picks = "", nil
		p.MasksA = append(p.MasksA, href("masks", of.Mask, p.Planes[i].Name)+"/")
		p.MasksB = append(p.MasksB, href("masks", other.Mask, p.Planes[i].Name)+"/")
	}
	return &Page{Title: "Compare study " + name, Section: "compare", Template: "comparestudy", Content: p, Run: b, Scripts: []string{"compare.js"}}, nil
}

// CompareQuery is what an address says of two runs.
func CompareQuery(a, b runRef) string {
	return url.Values{"a": {a.Value()}, "b": {b.Value()}}.Encode()
}
