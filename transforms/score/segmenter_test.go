package score

import (
	"context"
	"errors"
	"iter"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/transforms/segment"
)

const voxels = segment.Size * segment.Size * segment.Size

// painter is a network that says what a function says of each study in turn.
type painter struct {
	paint func(study int, out []float32)
	study int
}

func (p *painter) Inputs() []models.Port {
	return []models.Port{{Name: "x", Shape: []int{1, 1, segment.Size, segment.Size, segment.Size}}}
}

func (p *painter) Outputs() []models.Port {
	return []models.Port{{Name: "y", Shape: []int{1, 7, segment.Size, segment.Size, segment.Size}}}
}

func (p *painter) Infer(_ context.Context, _, outputs [][]float32) error {
	clear(outputs[0])
	p.paint(p.study, outputs[0])
	p.study++
	return nil
}

func (p *painter) Close() error { return nil }

// studies have ten voxels of each level, one after another.
func studies(n int) iter.Seq2[Labelled, error] {
	return func(yield func(Labelled, error) bool) {
		for i := range n {
			s := Labelled{Study: string(rune('a' + i)), Volume: make([]byte, voxels), Labels: make([]byte, voxels)}
			for v := range 70 {
				s.Labels[v] = byte(1 + v/10)
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

func TestSegmentersAreMeasuredByLevelAndStudy(t *testing.T) {
	net := &painter{paint: func(study int, out []float32) {
		for level := range 7 {
			for v := range 10 {
				at := level * 10 // where the level is
				if study == 1 && level < 2 {
					at = (1 - level) * 10 // C1 and C2 are taken for each other
				}
				if study == 1 && level == 6 && v >= 5 {
					continue // half of C7 is missed
				}
				out[level*voxels+at+v] = 0.9
			}
		}
		out[6*voxels+1000] = 0.4 // not above one half
	}}
	got, err := Segment(t.Context(), []models.Network{net}, studies(2))
	if err != nil {
		t.Fatal(err)
	}
	if got.Studies != 2 || got.PerStudy[0].Mean < 1-1e-12 {
		t.Errorf("%+v", got)
	}
	want := [7]float64{0.5, 0.5, 1, 1, 1, 1, (1 + 2./3) / 2}
	for level, d := range got.Dice {
		if math.Abs(d-want[level]) > 1e-12 {
			t.Errorf("dice of level %d: %g, want %g", level+1, d, want[level])
		}
	}
	if diff := cmp.Diff([]Swap{{"b", "C1", "C2"}, {"b", "C2", "C1"}}, got.Swapped); diff != "" {
		t.Errorf("swapped (-want +got):\n%s", diff)
	}
	if !(got.Interval[0] <= got.Mean && got.Mean <= got.Interval[1]) {
		t.Errorf("mean %g outside of %v", got.Mean, got.Interval)
	}
}

func TestStudiesThatCannotBeMeasuredAreErrors(t *testing.T) {
	net := []models.Network{&painter{paint: func(int, []float32) {}}}
	broken := errors.New("no such shard")
	if _, err := Segment(t.Context(), net, func(yield func(Labelled, error) bool) { yield(Labelled{}, broken) }); !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
	if _, err := Segment(t.Context(), net, func(yield func(Labelled, error) bool) { yield(Labelled{Volume: []byte{1}}, nil) }); err == nil {
		t.Error("a volume of one voxel was accepted")
	}
}
