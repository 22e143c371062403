package view

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/crop"
)

// Dice is how much two masks of a study have in common, by level.
type Dice struct {
	// Levels are 2·|A ∩ B|/(|A| + |B|) where label maps name a level: 1 where neither does, NaN for what is not compared.
	Levels [volume.Levels]float64
	Mean   float64 // over the levels that either has; NaN if there is none
}

// diceKey names two masks.
type diceKey struct{ a, b string }

// measureDice compares two masks.
func (s *Server) measureDice(ctx context.Context, key diceKey) (Dice, error) {
	a, err := s.tensors.labels(ctx, key.a)
	if err != nil {
		return Dice{}, err
	}
	b, err := s.tensors.labels(ctx, key.b)
	if err != nil {
		return Dice{}, err
	}
	if !slices.Equal(a.Shape, b.Shape) {
		return Dice{}, wrong("these masks have other shapes", "compare masks of one grid")
	}
	return diceOf(a.Data, b.Data), nil
}

// diceOf compares two label maps.
func diceOf(a, b []uint8) (d Dice) {
	var in, of [volume.Levels + 1]int
	for i, v := range a {
		w := b[i]
		if v|w == 0 {
			continue
		}
		if v <= volume.Levels {
			of[v]++
		}
		if w <= volume.Levels {
			of[w]++
		}
		if v == w && v <= volume.Levels {
			in[v]++
		}
	}
	n := 0
	for level := range d.Levels {
		d.Levels[level] = 1
		if of[level+1] == 0 {
			continue
		}
		d.Levels[level] = 2 * float64(in[level+1]) / float64(of[level+1])
		d.Mean += d.Levels[level]
		n++
	}
	if d.Mean /= float64(n); n == 0 {
		d.Mean = math.NaN()
	}
	return d
}

// diceOf compares a study's mask with the one that a person drew, if the store has that; known is false as long as it is not worked out.
func (s *Server) diceOf(of *study) (d Dice, known bool) {
	drawn := s.truth.mask(of.Name)
	if drawn == "" || of.Mask == "" || drawn == of.Mask {
		return d, false
	}
	return s.dice.get(diceKey{of.Mask, drawn})
}

// Moved says how far one run's study is from another's.
type Moved struct {
	Dice Dice
	// Shift is by how many mm the farthest side of each level's box moved; NaN where one of them has none.
	Shift [volume.Levels]float64
}

// movedKey names what is compared.
type movedKey struct{ maskA, maskB, boxesA, boxesB, index string }

func movedKeyOf(a, b *study) movedKey {
	return movedKey{a.Mask, b.Mask, a.Boxes, b.Boxes, cmp.Or(b.Index, a.Index)}
}

// measureMoved compares the masks and the boxes of a study in two runs.
func (s *Server) measureMoved(ctx context.Context, key movedKey) (m Moved, err error) {
	if m.Dice, err = s.measureDice(ctx, diceKey{key.maskA, key.maskB}); err != nil {
		return m, err
	}
	for level := range m.Shift {
		m.Shift[level] = math.NaN()
	}
	if key.boxesA == "" || key.boxesB == "" || key.index == "" {
		return m, nil
	}
	a, err := readBoxes(ctx, s.store, key.boxesA)
	if err != nil {
		return m, err
	}
	b, err := readBoxes(ctx, s.store, key.boxesB)
	if err != nil {
		return m, err
	}
	x, err := readIndex(ctx, s.store, key.index)
	if err != nil {
		return m, err
	}
	mm := x.Grid(crop.Grid, crop.Grid, crop.Grid).SpacingMM()
	for level := range min(len(a), len(b), volume.Levels) {
		if a[level].Found && b[level].Found {
			m.Shift[level] = a[level].Box.ShiftMM(b[level].Box, mm)
		}
	}
	return m, nil
}

// Refused tells a study that has nothing to be looked at.
func (s *study) Refused() bool {
	return s.Verdict == transforms.Refused || s.Verdict == transforms.Skipped
}
