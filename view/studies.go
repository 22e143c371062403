package view

import (
	"cmp"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms"
)

// studiesPage is a page of a run's list of studies.
type studiesPage struct {
	Run     *run
	Rows    []studyRow
	Query   listQuery
	Columns []column
	Total   int // of the run
	Matches int
	Pages   int
	// Unknown is of how many studies geometry is not read yet.
	Unknown  int
	Verdicts []verdictCount
	Dice     bool // of any study
	path     string
}

type verdictCount struct {
	Verdict string
	Studies int
}

// studyRow is a study in the list.
type studyRow struct {
	*study
	Fact    Fact
	Known   bool // Fact is
	Dice    float64
	Diced   bool
	Missing []string // levels that were not found
}

// listQuery says which studies a page shows.
type listQuery struct {
	Text    string // part of a study's name or of a reason
	Verdict string
	Sort    string
	Down    bool // the greatest first
	Page    int  // from 1
	Grid    bool // pictures instead of a table
}

const (
	rowsPerPage = 50
	gridPerPage = 40
)

func (q listQuery) perPage() int {
	if q.Grid {
		return gridPerPage
	}
	return rowsPerPage
}

func readQuery(v url.Values) listQuery {
	q := listQuery{Text: strings.TrimSpace(v.Get("q")), Verdict: v.Get("verdict"), Sort: v.Get("sort"), Down: v.Get("down") != "", Grid: v.Get("grid") != ""}
	q.Page, _ = strconv.Atoi(v.Get("page"))
	q.Page = max(1, q.Page)
	if q.Sort == "" {
		q.Sort = "study"
	}
	return q
}

// address writes the list's address with a change.
func (q listQuery) address(path string) string {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("q", q.Text)
	set("verdict", q.Verdict)
	if q.Sort != "study" {
		set("sort", q.Sort)
	}
	if q.Down {
		v.Set("down", "1")
	}
	if q.Grid {
		v.Set("grid", "1")
	}
	if q.Page > 1 {
		v.Set("page", strconv.Itoa(q.Page))
	}
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}

// column is a column of the list, by which it can be sorted.
type column struct {
	Name, Title string
	Number      bool
	less        func(a, b *studyRow) int
}

func studyColumns(r *run) []column {
	number := func(of func(*studyRow) float64) func(a, b *studyRow) int {
		return func(a, b *studyRow) int { return cmp.Compare(of(a), of(b)) }
	}
	all := []column{
		{"study", "study", false, func(a, b *studyRow) int { return cmp.Compare(a.Name, b.Name) }},
		{"verdict", "verdict", false, func(a, b *studyRow) int {
			return cmp.Or(cmp.Compare(verdictOrder(a.Verdict), verdictOrder(b.Verdict)), cmp.Compare(a.Reason, b.Reason))
		}},
		{"found", "levels found", true, number(func(s *studyRow) float64 { return float64(s.Found) })},
		{"slices", "slices", true, number(func(s *studyRow) float64 { return float64(s.Fact.Slices) })},
		{"spacing", "spacing, mm", true, number(func(s *studyRow) float64 { return s.Fact.SpacingMM[2] })},
		{"syntax", "pixels", false, func(a, b *studyRow) int { return cmp.Compare(a.Fact.Syntax, b.Fact.Syntax) }},
		{"computed", "computed", true, number(func(s *studyRow) float64 { return float64(s.Computed) })},
		{"dice", "dice", true, number(func(s *studyRow) float64 {
			if !s.Diced || math.IsNaN(s.Dice) {
				return -1
			}
			return s.Dice
		})},
	}
	if r.Answered {
		all = append(all, column{"fractured", "fractured", true, number(func(s *studyRow) float64 { return s.Patient })})
	}
	return all
}

func verdictOrder(v string) int {
	return slices.Index([]string{transforms.OK, transforms.Warned, transforms.Skipped, transforms.Refused}, v)
}

func (s *Server) studies(r *http.Request) (*Page, error) {
	run, err := s.runs.get(r.Context(), refOf(r))
	if err != nil {
		return nil, err
	}
	q := readQuery(r.URL.Query())
	p := &studiesPage{Run: run, Query: q, Total: len(run.Studies), path: run.Path() + "/studies"}
	counts := map[string]int{}
	var rows []*studyRow
	for _, of := range run.Studies {
		counts[of.Verdict]++
		row := &studyRow{study: of}
		if of.Index != "" {
			if row.Fact, row.Known = s.facts.get(of.Index); s.facts.waits(of.Index) {
				p.Unknown++
			}
		}
		if q.Verdict != "" && of.Verdict != q.Verdict || !matches(row, q.Text) {
			continue
		}
		if !run.Labels && of.Mask != "" {
			var d Dice
			if d, row.Diced = s.diceOf(of); row.Diced {
				row.Dice, p.Dice = d.Mean, true
			}
		}
		for level := range volume.Levels {
			if of.NotFound[level] != "" {
				row.Missing = append(row.Missing, volume.LevelName(level))
			}
		}
		rows = append(rows, row)
	}
	for _, v := range []string{transforms.OK, transforms.Warned, transforms.Skipped, transforms.Refused} {
		if counts[v] > 0 {
			p.Verdicts = append(p.Verdicts, verdictCount{v, counts[v]})
		}
	}
	for _, c := range studyColumns(run) {
		if c.Name == "dice" && !p.Dice {
			continue
		}
		p.Columns = append(p.Columns, c)
	}
	p.sort(rows)
	return &Page{Title: "Studies of run " + run.Label(), Section: "studies", Template: "studies", Content: p, Run: run, Scripts: []string{"list.js"}}, nil
}

// matches tells whether a study is meant by a text.
func matches(s *studyRow, text string) bool {
	if text == "" {
		return true
	}
	text = strings.ToLower(text)
	for _, of := range append([]string{s.Name, s.Reason, s.Fact.Syntax}, s.Fact.Warnings...) {
		if strings.Contains(strings.ToLower(of), text) {
			return true
		}
	}
	return false
}

// sort brings the rows into order, and keeps those of the page.
func (p *studiesPage) sort(rows []*studyRow) {
	at := max(0, slices.IndexFunc(p.Columns, func(c column) bool { return c.Name == p.Query.Sort }))
	p.Query.Sort = p.Columns[at].Name
	less := p.Columns[at].less
	slices.SortStableFunc(rows, func(a, b *studyRow) int {
		c := less(a, b)
		if p.Query.Down {
			c = -c
		}
		return cmp.Or(c, cmp.Compare(a.Name, b.Name))
	})
	p.Matches = len(rows)
	per := p.Query.perPage()
	p.Pages = max(1, (len(rows)+per-1)/per)
	p.Query.Page = min(p.Query.Page, p.Pages)
	first := (p.Query.Page - 1) * per
	for _, row := range rows[first:min(len(rows), first+per)] {
		p.Rows = append(p.Rows, *row)
	}
}

// Sorted is the address of the list by a column; by the column that it is sorted by, the other way round.
func (p *studiesPage) Sorted(name string) string {
	q := p.Query
	q.Down = q.Sort == name && !q.Down
	q.Sort, q.Page = name, 1
	return q.address(p.path)
}

// To is the address of another page.
func (p *studiesPage) To(page int) string {
	q := p.Query
	q.Page = page
	return q.address(p.path)
}

// With is the address of the list of one verdict; of all with "".
func (p *studiesPage) With(verdict string) string {
	q := p.Query
	q.Verdict, q.Page = verdict, 1
	return q.address(p.path)
}

// Other is the address of the same as pictures, or as a table.
func (p *studiesPage) Other() string {
	q := p.Query
	q.Grid, q.Page = !q.Grid, 1
	return q.address(p.path)
}
