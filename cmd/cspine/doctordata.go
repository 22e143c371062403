package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"runtime"
	"slices"
	"text/tabwriter"

	"golang.org/x/sync/errgroup"

	"github.com/cspine/cspine/internal/source"
	"github.com/cspine/cspine/transforms/ingest"
)

// archive is what doctor found in a data set.
type archive struct {
	Data    string            `json:"data"`
	Studies []*ingest.Finding `json:"studies"` // by folder
	Files   int               `json:"files"`
	// Ready, Warned and Refused count studies.
	Ready   int `json:"ready"`
	Warned  int `json:"warned"`
	Refused int `json:"refused"`

	Reasons    []reasonCount  `json:"reasons"`
	FileCodes  []ingest.Count `json:"file_codes"`
	Syntaxes   []ingest.Count `json:"transfer_syntaxes"`
	Modalities []ingest.Count `json:"modalities"`
	Makers     []ingest.Count `json:"makers"`
	Spacings   []spacing      `json:"spacings"`
}

// reasonCount is why studies are refused or warned about, with one of them.
type reasonCount struct {
	Code    string `json:"code"`
	Studies int    `json:"studies"`
	Example string `json:"example"` // its folder
	Detail  string `json:"detail,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}

// spacing is the least, the middle and the greatest distance of the studies that have a volume, in millimetres.
type spacing struct {
	Between  string  `json:"between"`
	Least    float64 `json:"least_mm"`
	Middle   float64 `json:"middle_mm"`
	Greatest float64 `json:"greatest_mm"`
}

// studiesAtOnce keeps reading while headers of one study are waited for.
func studiesAtOnce() int { return 2 * runtime.GOMAXPROCS(0) }

// surveyData reads all headers of a data set.
func surveyData(ctx context.Context, location string, o ingest.Options) (*archive, error) {
	data, err := source.Open(ctx, location)
	if err != nil {
		return nil, err
	}
	defer data.Close()
	folders, err := ingest.Studies(ctx, data)
	if err != nil {
		return nil, err
	}
	a := &archive{Data: data.String(), Studies: make([]*ingest.Finding, len(folders))}
	g, group := errgroup.WithContext(ctx)
	g.SetLimit(studiesAtOnce())
	for i, folder := range folders {
		g.Go(func() (err error) {
			a.Studies[i], err = ingest.Survey(group, data, folder, o)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := a.goDeeper(ctx, data, o); err != nil {
		return nil, err
	}
	a.count()
	return a, nil
}

// goDeeper adds what lies where no run would look, and leaves out folders that hold nothing else.
func (a *archive) goDeeper(ctx context.Context, data *source.Source, o ingest.Options) error {
	var deeper []string
	for _, f := range a.Studies {
		deeper = append(deeper, f.Deeper...)
	}
	a.Studies = slices.DeleteFunc(a.Studies, func(f *ingest.Finding) bool { return f.Files == 0 && len(f.Deeper) > 0 })
	found := make([][]*ingest.Finding, len(deeper))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(studiesAtOnce())
	for i, folder := range deeper {
		g.Go(func() (err error) {
			found[i], err = ingest.SurveyDeep(ctx, data, folder, o)
			return err
		})
	}
	err := g.Wait()
	a.Studies = append(a.Studies, slices.Concat(found...)...)
	return err
}

func (a *archive) count() {
	slices.SortFunc(a.Studies, func(x, y *ingest.Finding) int { return cmp.Compare(x.Folder, y.Folder) })
	reasons := map[string]*reasonCount{}
	reason := func(code string, f *ingest.Finding) *reasonCount {
		r := reasons[code]
		if r == nil {
			r = &reasonCount{Code: code, Example: f.Folder}
			reasons[code] = r
		}
		r.Studies++
		return r
	}
	var codes, syntaxes, modalities, makers []map[string]int
	var distances [3][]float64
	for _, f := range a.Studies {
		a.Files += f.Files
		codes, syntaxes, modalities, makers = append(codes, f.FileCodes), append(syntaxes, f.Syntaxes), append(modalities, f.Modalities), append(makers, f.Makers)
		switch {
		case f.Refused != nil:
			a.Refused++
			if r := reason(string(f.Refused.Code), f); r.Studies == 1 {
				r.Detail, r.Remedy = f.Refused.Detail, f.Refused.Remedy
			}
			continue
		case len(f.Warnings) > 0:
			a.Warned++
		default:
			a.Ready++
		}
		for _, code := range f.Warnings {
			reason(string(code), f)
		}
		for i, mm := range f.SpacingMM {
			distances[i] = append(distances[i], mm)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(reasons)) {
		a.Reasons = append(a.Reasons, *reasons[code])
	}
	slices.SortStableFunc(a.Reasons, func(x, y reasonCount) int { return cmp.Compare(y.Studies, x.Studies) })
	a.FileCodes, a.Syntaxes, a.Modalities, a.Makers = ingest.Counts(codes...), ingest.Counts(syntaxes...), ingest.Counts(modalities...), ingest.Counts(makers...)
	for i, between := range []string{"rows", "columns", "slices"} {
		d := distances[i]
		if len(d) == 0 {
			continue
		}
		slices.Sort(d)
		a.Spacings = append(a.Spacings, spacing{between, d[0], d[len(d)/2], d[len(d)-1]})
	}
}

func (a *archive) print(out io.Writer) {
	fmt.Fprintf(out, "%s: %s, %s\n%d ready, %d ready with warnings, %d would be refused\n", a.Data, plural(len(a.Studies), "study", "studies"), plural(a.Files, "file", "files"), a.Ready, a.Warned, a.Refused)
	var deep []string
	for _, f := range a.Studies {
		if f.OutOfReach {
			deep = append(deep, f.Folder)
		}
	}
	if len(deep) > 0 {
		fmt.Fprintf(out, "%d of them deeper than a study's series, where no run looks, such as %s: give a run's --data the folder above\n", len(deep), deep[0])
	}
	if len(a.Reasons) > 0 {
		fmt.Fprintln(out, "\nwhy:")
		t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
		for _, r := range a.Reasons {
			fmt.Fprintf(t, "  %s\t%s\tsuch as %s\n", r.Code, plural(r.Studies, "study", "studies"), path.Base(r.Example))
		}
		_ = t.Flush()
		for _, r := range a.Reasons {
			if r.Detail != "" {
				fmt.Fprintf(out, "\n%s, %s: %s\n  %s\n", r.Code, path.Base(r.Example), r.Detail, r.Remedy)
			}
		}
	}
	for _, c := range []struct {
		title string
		list  []ingest.Count
	}{{"files that are no slices of a volume", a.FileCodes}, {"transfer syntaxes", a.Syntaxes}, {"modalities", a.Modalities}, {"makers", a.Makers}} {
		if len(c.list) == 0 {
			continue
		}
		fmt.Fprintf(out, "\n%s:\n", c.title)
		t := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
		for _, n := range c.list {
			fmt.Fprintf(t, "  %d\t %s\n", n.Files, n.Name)
		}
		_ = t.Flush()
	}
	if len(a.Spacings) > 0 {
		fmt.Fprintln(out, "\nmillimetres between (least, middle, greatest):")
		for _, s := range a.Spacings {
			fmt.Fprintf(out, "  %-8s %.3g  %.3g  %.3g\n", s.Between, s.Least, s.Middle, s.Greatest)
		}
	}
}
