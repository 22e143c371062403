package crop

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func anyRange(t *rapid.T, name string) [2]int {
	from := rapid.IntRange(0, Grid-1).Draw(t, name)
	return [2]int{from, rapid.IntRange(from+1, Grid).Draw(t, name+" end")}
}

func TestABoxHoldsAllThatExceedsItsThreshold(t *testing.T) {
	mask := make([]uint8, Grid*Grid*Grid)
	opts := BoxOptions{Island: -1}
	rapid.Check(t, func(t *rapid.T) {
		clear(mask)
		values := map[[3]int]uint8{}
		for range rapid.IntRange(0, 6).Draw(t, "voxels") {
			at := [3]int{rapid.IntRange(0, Grid-1).Draw(t, "row"), rapid.IntRange(0, Grid-1).Draw(t, "column"), rapid.IntRange(0, Grid-1).Draw(t, "slice")}
			values[at] = rapid.SampledFrom([]uint8{12, 13, 51, 52, 255}).Draw(t, "value")
			mask[(at[0]*Grid+at[1])*Grid+at[2]] = values[at]
		}
		// 0.2 x 255 is 51, which is not above 0.2; 0.05 x 255 is 12.75.
		least, th := uint8(52), 0.2
		if !slices.ContainsFunc(slices.Collect(maps.Values(values)), func(v uint8) bool { return v >= least }) {
			least, th = 13, 0.05
		}
		first, last := [3]int{Grid, Grid, Grid}, [3]int{-1, -1, -1}
		for at, v := range values {
			for axis, x := range at {
				if v >= least {
					first[axis], last[axis] = min(first[axis], x), max(last[axis], x)
				}
			}
		}
		want := Verdict{Level: 3, Reason: EmptyMask}
		if last[0] >= 0 {
			want = Verdict{Level: 3, Found: true, Box: Box{Level: 3, Threshold: th}}
			for axis, r := range []*[2]int{&want.Box.Row, &want.Box.Column, &want.Box.Slice} {
				*r = [2]int{max(0, first[axis]-1), last[axis] + 1}
			}
		}
		if got := find(mask, 3, opts); got != want {
			t.Fatalf("%+v, want %+v", got, want)
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
