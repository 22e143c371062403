package crop

import (
	"math"
	"testing"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
)

func TestKeepIsReadAsItIsWritten(t *testing.T) {
	for text, want := range map[string]Keep{
		"dice=0.99,box=1mm": {0.99, 1},
		"box=0.5mm":         {0, 0.5},
		"dice=1":            {1, 0},
		" dice=0.9 , box=2": {0.9, 2},
	} {
		got, err := ParseKeep(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if again, err := ParseKeep(got.String()); err != nil && got.Dice > 0 || got.Dice > 0 && again != got {
			t.Errorf("%q is written as %q, which is %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "dice", "dice=2", "dice=0", "dice=-1", "dice=NaN", "dice=0.9mm", "box=-1mm", "box=Inf", "iou=0.9", "dice=0.9,dice=0.8", "dice=0.9;box=1"} {
		if got, err := ParseKeep(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

// cuboid is a mask whose level is sure within half-open ranges, and the box around it.
func cuboid(level int, r, c, s [2]int) (*npy.Array, Box) {
	mask := npy.New(npy.Uint8, volume.Levels, Grid, Grid, Grid)
	voxels := maskLevel(mask, level)
	for i := r[0]; i < r[1]; i++ {
		for j := c[0]; j < c[1]; j++ {
			for k := s[0]; k < s[1]; k++ {
				voxels[(i*Grid+j)*Grid+k] = 255
			}
		}
	}
	return mask, Boxes(mask, BoxOptions{})[level].Box
}

func TestAgreementIsDiceAndHowFarTheBoxMoved(t *testing.T) {
	a, was := cuboid(2, [2]int{10, 20}, [2]int{30, 40}, [2]int{50, 60})
	for name, c := range map[string]struct {
		r, c, s [2]int
		want    Agreement
	}{
		"equal":             {[2]int{10, 20}, [2]int{30, 40}, [2]int{50, 60}, Agreement{1, 0}},
		"a row more":        {[2]int{10, 21}, [2]int{30, 40}, [2]int{50, 60}, Agreement{2 * 1000 / 2100.0, 0.5}},
		"two columns along": {[2]int{10, 20}, [2]int{32, 42}, [2]int{50, 60}, Agreement{0.8, 2}},
		"three slices less": {[2]int{10, 20}, [2]int{30, 40}, [2]int{53, 60}, Agreement{2 * 700 / 1700.0, 6}},
		"elsewhere":         {[2]int{60, 70}, [2]int{30, 40}, [2]int{50, 60}, Agreement{0, 25}},
	} {
		b, is := cuboid(2, c.r, c.c, c.s)
		got, err := Agree(a, b, was, is, [3]float64{0.5, 1, 2})
		if err != nil || math.Abs(got.Dice-c.want.Dice) > 1e-12 || got.BoxMM != c.want.BoxMM {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
		}
	}
	if _, err := Agree(a, a, was, Box{Level: 3}, [3]float64{1, 1, 1}); err == nil {
		t.Error("two levels were compared")
	}
}
