package crop

import (
	"encoding/json"
	"os"
	"testing"
)

// scattered is make_islands.py's: one voxel in so many, of a block.
func scattered(every, seed uint32) []uint8 {
	mask := make([]uint8, Grid*Grid*Grid)
	for r := 50; r < 90; r++ {
		for c := 20; c < 80; c++ {
			for s := 70; s < 120; s++ {
				at := (r*Grid+c)*Grid + s
				x := uint32(at)*0x9E3779B1 + seed
				x = (x ^ x>>15) * 0x2C1B3C6D
				x = (x ^ x>>12) * 0x297A2D39
				x ^= x >> 15
				if x%every == 0 {
					mask[at] = 255
				}
			}
		}
	}
	return mask
}

func TestSmallIslandsAreLeftOutAsSciPyFindsThem(t *testing.T) {
	file, err := os.ReadFile("testdata/islands.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Every, Seed uint32
		Share       float64
		Islands     int
		Box         [3][2]int
	}
	if err := json.Unmarshal(file, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		mask := scattered(c.Every, c.Seed)
		v := find(mask, 2, BoxOptions{Island: c.Share})
		if got := [3][2]int{v.Box.Row, v.Box.Column, v.Box.Slice}; got != c.Box || !v.Found {
			t.Errorf("one voxel in %d, share %g: box %v, SciPy's is %v", c.Every, c.Share, got, c.Box)
		}
		whole := find(mask, 2, BoxOptions{Island: -1}).Box
		if n := len(whole.islands(mask, 255)); n != c.Islands {
			t.Errorf("one voxel in %d: %d islands, SciPy finds %d", c.Every, n, c.Islands)
		}
	}
}

func TestAVoxelFarAwayDoesNotWidenTheBoxUnlessAsked(t *testing.T) {
	mask := make([]uint8, Grid*Grid*Grid)
	for r := 40; r < 50; r++ {
		for s := 60; s < 70; s++ {
			mask[(r*Grid+30)*Grid+s] = 200
		}
	}
	mask[(120*Grid+5)*Grid+127] = 255
	for _, c := range []struct {
		island float64
		want   [3][2]int
	}{
		{0, [3][2]int{{39, 50}, {29, 31}, {59, 70}}},
		{5, [3][2]int{{39, 50}, {29, 31}, {59, 70}}}, // more than all: the largest stays
		{-1, [3][2]int{{39, 121}, {4, 31}, {59, 128}}},
	} {
		b := find(mask, 0, BoxOptions{Island: c.island}).Box
		if got := [3][2]int{b.Row, b.Column, b.Slice}; got != c.want {
			t.Errorf("island %g: %v, want %v", c.island, got, c.want)
		}
	}
}
