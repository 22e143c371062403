package score

import (
	"math"
	"testing"
)

func TestEmptyMasksCountOneIfPredictedEmpty(t *testing.T) {
	if got := Dice([]float32{0.1, 0.5}, []uint8{0, 2}, 1); got != 1 {
		t.Errorf("nothing there, nothing predicted: %g", got)
	}
	if got := Dice([]float32{0.1, 0.6}, []uint8{0, 2}, 1); got != 0 {
		t.Errorf("nothing there, one voxel predicted: %g", got)
	}
	if got := Dice([]float32{0.1, 0.4}, []uint8{0, 1}, 1); got != 0 {
		t.Errorf("one voxel there, nothing predicted: %g", got)
	}
}

func TestIntervalCoversTheMean(t *testing.T) {
	values := []float64{0.91, 0.95, 0.88, 0.97, 0.93, 0.9, 0.96, 0.94}
	got := Interval(values, 1)
	if got != Interval(values, 1) {
		t.Error("equal seeds give other intervals")
	}
	// The normal approximation, for comparison: mean 0.93, standard error 0.0109.
	if math.Abs(got[0]-0.909) > 0.006 || math.Abs(got[1]-0.951) > 0.006 {
		t.Errorf("interval %v", got)
	}
	if got := Interval([]float64{0.5}, 1); got != [2]float64{0.5, 0.5} {
		t.Errorf("of one value: %v", got)
	}
	if got := Interval(nil, 1); got != [2]float64{} {
		t.Errorf("of none: %v", got)
	}
}
