package view

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/png"
	"log/slog"
	"math"
	"slices"

	xdraw "golang.org/x/image/draw"

	"github.com/cspine/cspine/transforms/manifest"
)

// ReportOptions say what a report tells. The zero value tells of the store's newest run.
type ReportOptions struct {
	// Run is the run's name; "" is the newest of all.
	Run string
	// Studies are those that are shown with pictures; none chooses the first Most: refused ones, then those that were answered worst, then the others.
	Studies []string
	// Most is how many studies are chosen; 0 stands for 8, a negative number for none.
	Most int
}

// Report returns a file that tells of a run by itself: what it did, its data set, how good its answers are, and some of its studies with pictures.
func (s *Server) Report(ctx context.Context, o ReportOptions) ([]byte, error) {
	key, err := manifest.Newest(ctx, s.store, o.Run)
	if err != nil {
		return nil, err
	}
	if key == "" {
		if o.Run != "" {
			return nil, fmt.Errorf("the store has no run %q", o.Run)
		}
		return nil, fmt.Errorf("the store has no runs yet: 'cspine prepare' makes one")
	}
	r, err := s.runs.get(ctx, refAt(key))
	if err != nil {
		return nil, err
	}
	if err := s.truth.readAll(ctx); err != nil {
		slog.Debug("view", "error", err) // what is damaged is told where it matters
	}
	var body bytes.Buffer
	section := func(file string, content any) error {
		return templates.ExecuteTemplate(&body, file+".html", &Page{Content: content, Run: r, Alone: true})
	}
	if err := section("run", runContent(r)); err != nil {
		return nil, err
	}
	if err := s.reportDataset(ctx, r, section); err != nil {
		return nil, err
	}
	if err := s.reportEvaluation(ctx, r, section); err != nil {
		return nil, err
	}
	if r.Answered {
		answers, err := s.answersContent(ctx, r, 0.5)
		if err != nil {
			return nil, err
		}
		if answers.Evaluation != nil {
			if err := section("answers", answers); err != nil {
				return nil, err
			}
		}
	}
	chosen, err := s.choose(r, o)
	if err != nil {
		return nil, err
	}
	for _, of := range chosen {
		p, err := s.studyPage(ctx, r, of)
		if err != nil {
			return nil, fmt.Errorf("study %s: %w", of.Name, err)
		}
		if err := s.still(ctx, p); err != nil {
			return nil, fmt.Errorf("study %s: %w", of.Name, err)
		}
		if err := section("study", p); err != nil {
			return nil, err
		}
	}
	return frame(&Page{Title: "Run " + r.Label(), Run: r, Alone: true}, body.Bytes())
}

// choose says which studies a report shows.
func (s *Server) choose(r *run, o ReportOptions) ([]*study, error) {
	var chosen []*study
	for _, name := range o.Studies {
		of := r.byName[name]
		if of == nil {
			return nil, fmt.Errorf("run %s has no study %q", r.Name, name)
		}
		chosen = append(chosen, of)
	}
	if len(chosen) > 0 || o.Most < 0 {
		return chosen, nil
	}
	most := o.Most
	if most == 0 {
		most = 8
	}
	loss := map[*study]float64{}
	for _, of := range r.Studies {
		known, ok := s.truth.fractures(of.Name, r.Name)
		if ok && of.Patient >= 0 && known.Patient >= 0 {
			loss[of] = math.Abs(of.Patient - float64(known.Patient))
		}
	}
	chosen = slices.Clone(r.Studies)
	slices.SortStableFunc(chosen, func(a, b *study) int {
		switch {
		case a.Refused() != b.Refused():
			if a.Refused() {
				return -1
			}
			return 1
		case loss[a] > loss[b]:
			return -1
		case loss[a] < loss[b]:
			return 1
		}
		return 0
	})
	return chosen[:min(most, len(chosen))], nil
}

// still draws a study's planes into the page: with mask and boxes, in the bone window where that is known.
func (s *Server) still(ctx context.Context, p *studyPage) error {
	if len(p.Planes) == 0 {
		return nil
	}
	vol, err := s.tensors.volume(ctx, p.Study.Volume)
	if err != nil {
		return err
	}
	for i := range p.Planes {
		plane := &p.Planes[i]
		c, err := cutOf(vol.Shape, plane.Name, plane.At)
		if err != nil {
			return err
		}
		grey := c.grey(vol.Data)
		if len(p.Windows) > 0 {
			for k, v := range grey.Pix {
				grey.Pix[k] = greyOf(float64(v), p.Windows[0].GreyFrom, p.Windows[0].GreyTo)
			}
		}
		img := image.NewRGBA(image.Rect(0, 0, stillWidth, int(stillWidth*plane.Height/plane.Width)))
		xdraw.BiLinear.Scale(img, img.Rect, grey, grey.Rect, xdraw.Src, nil)
		if p.Study.Mask != "" {
			labels, err := s.tensors.labels(ctx, p.Study.Mask)
			if err != nil {
				return err
			}
			over := overlay(c.grey(labels.Data))
			xdraw.BiLinear.Scale(img, img.Rect, over, over.Rect, xdraw.Over, nil)
		}
		var out bytes.Buffer
		if err := png.Encode(&out, img); err != nil {
			return err
		}
		plane.Still = template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(out.Bytes())) //nolint:gosec // drawn here
	}
	return nil
}

// stillWidth is how wide a plane is in a report, in pixels.
const stillWidth = 360
