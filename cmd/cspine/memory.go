package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// heapFloor is the garbage collector's limit while less is in use. Tensors in flight need less; a network's own memory is not in the heap.
const heapFloor = 1 << 30

// limitMemory keeps the garbage collector from letting the heap grow to twice what is in use, which for shards, and for the elements of
// thousands of studies, is hundreds of megabytes. The limit gives way as what is in use comes near it: the elements of 100,000 studies
// are more than heapFloor, and a collector that cannot keep its limit does nothing else. GOGC and GOMEMLIMIT overrule it.
func limitMemory() {
	collect(40, heapFloor)
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	go func() {
		for range time.Tick(time.Second / 2) {
			raiseLimit()
		}
	}()
}

// collect sets how far the heap may grow beyond what is in use, in percent, and the garbage collector's limit in bytes.
func collect(percent int, limit int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
	}
}

// raiseLimit leaves the collector room above what the last collection found in use.
func raiseLimit() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	inUse := int64(live[0].Value.Uint64())
	if room := inUse + inUse/2; room > debug.SetMemoryLimit(-1) {
		debug.SetMemoryLimit(room)
	}
}
