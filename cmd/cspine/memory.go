package main

import (
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// heapFloor is the garbage collector's limit while less is in use. Tensors in flight need less; a network's own memory is not in the heap.
const heapFloor = 1 << 30

// The heap may grow beyond what is in use by growth percent, and by roomLeast bytes at least: with little in use, a few tensors of a study would
// have the collector run a hundred times a second for nothing.
const (
	growth    = 40
	roomLeast = 128 << 20
)

// limitMemory keeps the garbage collector from letting the heap grow to twice what is in use, which for shards, and for the elements of
// thousands of studies, is hundreds of megabytes. The limit gives way as what is in use comes near it: the elements of 100,000 studies
// are more than heapFloor, and a collector that cannot keep its limit does nothing else. GOGC and GOMEMLIMIT overrule it.
func limitMemory() {
	collect(growthFor(0), heapFloor)
	go func() {
		for range time.Tick(time.Second / 4) {
			live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
			metrics.Read(live)
			inUse := int64(live[0].Value.Uint64())
			if !followMemory(inUse) {
				return
			}
		}
	}()
}

// following is held while limits are set, so that none that follows the heap comes after leaveMemory's.
var following struct {
	sync.Mutex
	ended bool
}

// followMemory sets the limits by what is in use; false once that has ended.
func followMemory(inUse int64) bool {
	following.Lock()
	defer following.Unlock()
	if !following.ended {
		collect(growthFor(inUse), max(heapFloor, inUse+inUse/2))
	}
	return !following.ended
}

// leaveMemory ends what limitMemory does, for a process whose buffers are large and are used again.
func leaveMemory() {
	following.Lock()
	defer following.Unlock()
	following.ended = true
	collect(100, math.MaxInt64)
}

// growthFor is by how many percent the heap may grow beyond what is in use.
func growthFor(inUse int64) int { return int(max(growth, 100*roomLeast/max(inUse, roomLeast/10))) }

// collect sets how far the heap may grow beyond what is in use, in percent, and the garbage collector's limit in bytes.
func collect(percent int, limit int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
	}
}
