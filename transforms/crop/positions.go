package crop

import "slices"

// Position is one of a crop's places along the spine.
type Position struct {
	Slice     int // of the study
	MaskSlice int // of the Grid
}

// Positions returns the Places of a crop in a study of n slices, head to foot: int(linspace(first, last, 15))
// in the study and in the mask, in numpy's floating point. They repeat where the box has fewer slices. It
// returns nil if no slice of the study lies in the box.
func Positions(b Box, n int) []Position {
	source := scale(b.Slice, n)
	if source[0] >= source[1] {
		return nil
	}
	out := make([]Position, Places)
	study, mask := spread(source), spread(b.Slice)
	for i := range out {
		out[i] = Position{Slice: study[i], MaskSlice: mask[i]}
	}
	return out
}

// Slices returns every slice of a study of n that a crop reads: those at its Positions and their neighbours,
// rising, each once.
func Slices(b Box, n int) []int {
	var out []int
	for _, p := range Positions(b, n) {
		for i := max(0, p.Slice-Neighbours); i <= min(n-1, p.Slice+Neighbours); i++ {
			out = append(out, i)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// spread is int(np.linspace(r[0], r[1]-1, Places)): numpy multiplies by a rounded step, so that a place that
// ought to be whole may fall just short of it.
func spread(r [2]int) [Places]int {
	var out [Places]int
	first, last := float64(r[0]), float64(r[1]-1)
	step := (last - first) / (Places - 1)
	for i := range out {
		out[i] = int(float64(float64(i)*step) + first)
	}
	out[Places-1] = r[1] - 1
	return out
}
