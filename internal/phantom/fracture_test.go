package phantom

import (
	"errors"
	"math"
	"testing"
)

func TestPrevalenceIsTheDataSets(t *testing.T) {
	const studies = 20000
	var levels [7]float64
	patients := 0.0
	for i := range studies {
		broken := drawFractures(newDice(1, uint64(i)), 0)
		some := false
		for l, b := range broken {
			if b {
				levels[l]++
				some = true
			}
		}
		if some {
			patients++
		}
	}
	if p := patients / studies; p < patientPrevalence-0.015 || p > patientPrevalence+0.015 {
		t.Errorf("%.3f of the patients have a fracture, want %.3f", p, patientPrevalence)
	}
	for l, n := range levels {
		if p := n / studies; p < prevalence[l]-0.012 || p > prevalence[l]+0.012 {
			t.Errorf("C%d is broken in %.3f, want %.3f", l+1, p, prevalence[l])
		}
	}
}

func TestFracturedIsEachVertebrasChance(t *testing.T) {
	opts, err := Options{Fractured: 0.3, Size: 64, Slices: 8}.complete()
	if err != nil {
		t.Fatal(err)
	}
	broken := 0
	const studies = 300
	for i := range studies {
		for _, b := range opts.study(i).Fractured() {
			if b {
				broken++
			}
		}
	}
	if p := float64(broken) / (7 * studies); p < 0.27 || p > 0.33 { // two deviations
		t.Errorf("%.3f of the vertebrae are broken, want 0.3", p)
	}
	for _, share := range []float64{-0.1, 1.1, math.NaN()} {
		if _, err := (Options{Fractured: share}).complete(); !errors.Is(err, ErrOptions) {
			t.Errorf("a share of %v: %v, want ErrOptions", share, err)
		}
	}
}

// visible is the volume in mm³ by which the breaks of a level change its density by more than 150 HU.
func visible(s *Study, level int) float64 {
	b := &s.bones[level]
	whole := *b
	whole.breaks = nil
	const step = 1.0
	changed := 0.0
	lo, hi := b.shape.reach()
	for z := lo.z; z < hi.z; z += step {
		for y := lo.y; y < hi.y; y += step {
			for x := lo.x; x < hi.x; x += step {
				q := vec{x, y, z}
				if b.shape.distance(q) > 0 {
					continue
				}
				p := b.frame.world(q.scale(b.size))
				if math.Abs(float64(b.density(s, p, -b.distance(p))-whole.density(s, p, -whole.distance(p)))) > 150 {
					changed += step * step * step
				}
			}
		}
	}
	return changed
}

func TestEveryFractureShows(t *testing.T) {
	seen := 0
	for index := 0; seen < 15; index++ {
		s := New(1, index, 64, 8)
		for level, broken := range s.Fractured() {
			if broken != (len(s.bones[level].breaks) > 0) {
				t.Fatalf("study %d: C%d is labelled %v and has %d breaks", index, level+1, broken, len(s.bones[level].breaks))
			}
			if !broken {
				continue
			}
			seen++
			if mm3 := visible(s, level); mm3 < 40 {
				t.Errorf("study %d: C%d's fracture changes %.0f mm³, want at least 40", index, level+1, mm3)
			}
		}
	}
}
