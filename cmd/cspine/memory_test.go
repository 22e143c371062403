package main

import (
	"math"
	"os"
	"runtime/debug"
	"testing"
)

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

func TestNothingFollowsTheHeapOnceItIsLeft(t *testing.T) {
	t.Cleanup(func() {
		following.ended = false
		collect(growthFor(0), heapFloor)
	})
	if !followMemory(1 << 20) {
		t.Error("the heap is not followed")
	}
	leaveMemory()
	if followMemory(1 << 20) {
		t.Error("the heap is followed after it was left")
	}
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 && os.Getenv("GOMEMLIMIT") == "" {
		t.Errorf("the limit is %d", limit)
	}
}
