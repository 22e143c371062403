package segment

import (
	"slices"
	"testing"

	"github.com/cspine/cspine/internal/npy"
)

func TestLabelMapTakesTheMostProbableAboveOneHalfAndTheUpperOfTwo(t *testing.T) {
	mask := npy.New(npy.Uint8, 7, 1, 2, 3)
	set := func(voxel int, p map[int]uint8) {
		for level, v := range p {
			mask.Data[level*6+voxel] = v
		}
	}
	set(0, map[int]uint8{0: 127})                 // just below one half
	set(1, map[int]uint8{0: 128})                 // just above
	set(2, map[int]uint8{3: 200, 4: 201})         // the greater
	set(3, map[int]uint8{2: 130, 5: 130, 6: 130}) // the upper
	set(4, map[int]uint8{6: 255})                 // C7
	got := LabelMap(mask)
	if want := []uint8{0, 1, 5, 3, 7, 0}; !slices.Equal(got.Data, want) || !slices.Equal(got.Shape, []int{1, 2, 3}) {
		t.Errorf("got %v %v, want %v", got.Shape, got.Data, want)
	}
}
