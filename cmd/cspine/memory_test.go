package main

import "testing"

func TestTheHeapHasRoomForTensors(t *testing.T) {
	for _, c := range []struct {
		inUse int64
		want  int
	}{{0, 1000}, {1 << 20, 1000}, {64 << 20, 200}, {128 << 20, 100}, {256 << 20, 50}, {320 << 20, 40}, {8 << 30, 40}} {
		if got := growthFor(c.inUse); got != c.want {
			t.Errorf("with %d MiB in use it may grow by %d %%, want %d", c.inUse>>20, got, c.want)
		}
	}
}
