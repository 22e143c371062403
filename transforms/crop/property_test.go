package crop

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
)

func anyRange(t *rapid.T, name string) [2]int {
	from := rapid.IntRange(0, Grid-1).Draw(t, name)
	return [2]int{from, rapid.IntRange(from+1, Grid).Draw(t, name+" end")}
}

func TestABoxHoldsAllThatExceedsItsThreshold(t *testing.T) {
	m := npy.New(npy.Uint8, volume.Levels, Grid, Grid, Grid)
	rapid.Check(t, func(t *rapid.T) {
		clear(m.Data)
		level := rapid.IntRange(0, volume.Levels-1).Draw(t, "level")
		values := maskLevel(m, level)
		type voxel struct{ r, c, s int }
		var strict, loose []voxel
		for range rapid.IntRange(0, 6).Draw(t, "voxels") {
			v := voxel{rapid.IntRange(0, Grid-1).Draw(t, "row"), rapid.IntRange(0, Grid-1).Draw(t, "column"), rapid.IntRange(0, Grid-1).Draw(t, "slice")}
			values[(v.r*Grid+v.c)*Grid+v.s] = rapid.SampledFrom([]uint8{12, 13, 51, 52, 255}).Draw(t, "value")
		}
		for i, x := range values {
			v := voxel{i / Grid / Grid, i / Grid % Grid, i % Grid}
			if x > 12 { // 0.05 x 255 = 12.75
				loose = append(loose, v)
			}
			if x > 51 { // 0.2 x 255 = 51 is not above 0.2
				strict = append(strict, v)
			}
		}
		for i, v := range Boxes(m, BoxOptions{}) {
			in, th := strict, 0.2
			if len(in) == 0 {
				in, th = loose, 0.05
			}
			if i != level || len(in) == 0 {
				if v.Found || v.Reason != EmptyMask {
					t.Fatalf("%s: %+v in an empty mask", volume.LevelName(i), v)
				}
				continue
			}
			if !v.Found || v.Box.Threshold != th {
				t.Fatalf("%+v, want a box at %g", v, th)
			}
			for axis, r := range [][2]int{v.Box.Row, v.Box.Column, v.Box.Slice} {
				first, last := Grid, -1
				for _, x := range in {
					at := []int{x.r, x.c, x.s}[axis]
					first, last = min(first, at), max(last, at)
				}
				if want := [2]int{max(0, first-1), last + 1}; r != want {
					t.Fatalf("axis %d: %v, want %v", axis, r, want)
				}
			}
		}
	})
}

func TestPlacesLieInTheBoxAndSlicesCoversTheirNeighbours(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Box{Row: anyRange(t, "row"), Column: anyRange(t, "column"), Slice: anyRange(t, "slice")}
		n := rapid.IntRange(1, 1500).Draw(t, "n")
		source := SourceBox(b, 512, 512, n)
		at, reads := Positions(b, n), Slices(b, n)
		if source[4] >= source[5] {
			if at != nil || reads != nil {
				t.Fatalf("a box without slices has places %v and reads %v", at, reads)
			}
			return
		}
		want := map[int]bool{}
		for i, p := range at {
			if p.Slice < source[4] || p.Slice >= source[5] || p.MaskSlice < b.Slice[0] || p.MaskSlice >= b.Slice[1] {
				t.Fatalf("place %d, %v, lies outside of %v", i, p, source)
			}
			if i > 0 && (p.Slice < at[i-1].Slice || p.MaskSlice < at[i-1].MaskSlice) {
				t.Fatalf("place %d falls behind: %v", i, at)
			}
			for z := p.Slice - Neighbours; z <= p.Slice+Neighbours; z++ {
				if z >= 0 && z < n {
					want[z] = true
				}
			}
		}
		if at[0].Slice != source[4] || at[Places-1].Slice != source[5]-1 {
			t.Fatalf("places %v do not span %v", at, source)
		}
		if len(want) != len(reads) || !slices.IsSorted(reads) {
			t.Fatalf("reads %v, want %v", reads, want)
		}
		for _, z := range reads {
			if !want[z] {
				t.Fatalf("reads %d, which no place needs", z)
			}
		}
	})
}

func TestPatchIsTheMaskAtThePlaces(t *testing.T) {
	m := testMask()
	rapid.Check(t, func(t *rapid.T) {
		b := Box{Level: rapid.IntRange(0, 6).Draw(t, "level"), Row: anyRange(t, "row"), Column: anyRange(t, "column"), Slice: anyRange(t, "slice")}
		patch := Patch(m, b)
		rows, columns := b.Row[1]-b.Row[0], b.Column[1]-b.Column[0]
		if want := []int{Places, rows, columns}; !slices.Equal(patch.Shape, want) {
			t.Fatalf("shape %v, want %v", patch.Shape, want)
		}
		at := Positions(b, 1000)
		i, r, c := rapid.IntRange(0, Places-1).Draw(t, "place"), rapid.IntRange(0, rows-1).Draw(t, "r"), rapid.IntRange(0, columns-1).Draw(t, "c")
		want := maskLevel(m, b.Level)[((b.Row[0]+r)*Grid+b.Column[0]+c)*Grid+at[i].MaskSlice]
		if got := patch.Data[(i*rows+r)*columns+c]; got != want {
			t.Fatalf("place %d, row %d, column %d: %d, want %d", i, r, c, got, want)
		}
	})
}
