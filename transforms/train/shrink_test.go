package train

import (
	"slices"
	"testing"
)

func TestShrinkingTakesMeansAndMajorities(t *testing.T) {
	// One block of 2x2x2 for each case, side by side along the slices.
	for _, c := range []struct {
		name           string
		volume, labels [8]uint8
		grey, label    uint8
	}{
		{"all alike", [8]uint8{9, 9, 9, 9, 9, 9, 9, 9}, [8]uint8{3, 3, 3, 3, 3, 3, 3, 3}, 9, 3},
		{"the mean is rounded half up", [8]uint8{0, 0, 0, 0, 1, 1, 1, 1}, [8]uint8{}, 1, 0},
		{"white does not overflow", [8]uint8{255, 255, 255, 255, 255, 255, 255, 255}, [8]uint8{}, 255, 0},
		{"half a block is labelled", [8]uint8{}, [8]uint8{0, 0, 0, 0, 2, 2, 2, 2}, 0, 2},
		{"less than half is not", [8]uint8{}, [8]uint8{0, 0, 0, 0, 0, 2, 2, 2}, 0, 0},
		{"most of the labelled decide", [8]uint8{}, [8]uint8{0, 0, 1, 1, 7, 7, 7, 0}, 0, 7},
		{"the lower of equals", [8]uint8{}, [8]uint8{5, 5, 4, 4, 0, 0, 0, 0}, 0, 4},
	} {
		s := Sample{Shape: [3]int{2, 2, 4}, Volume: make([]uint8, 16), Labels: make([]uint8, 16)}
		for i := range 8 {
			at := i/2*4 + 2 + i%2 // the second block
			s.Volume[at], s.Labels[at] = c.volume[i], c.labels[i]
		}
		small, ok := s.shrink([3]int{1, 1, 2})
		if !ok || !slices.Equal(small.Volume, []uint8{0, c.grey}) || !slices.Equal(small.Labels, []uint8{0, c.label}) {
			t.Errorf("%s: %v %v %v, want %d and %d", c.name, ok, small.Volume, small.Labels, c.grey, c.label)
		}
	}
}

func TestOnlyWholeFactorsShrink(t *testing.T) {
	s := Sample{Shape: [3]int{4, 4, 4}, Volume: make([]uint8, 64), Labels: make([]uint8, 64)}
	for _, to := range [][3]int{{3, 4, 4}, {8, 8, 8}, {0, 4, 4}} {
		if _, ok := s.shrink(to); ok {
			t.Errorf("shrank to %v", to)
		}
	}
}
