// Package grey maps stored values to the 256 grey levels that networks are fed.
//
// The rule is the reference's (RSNA 2022 cervical spine, first place): with low and high the extremes of
// a volume or a stack, level(x) = uint8((x-low) / (high-low+1e-4) * 255), in float64, truncated.
//
// Invariants:
//   - Level must equal what numpy computes for the same integers, on every machine: no fused operation
//     may take part.
//   - Differences are exact. numpy subtracts int16 from int16 in 16 bits, so that a signed stack whose
//     values lie more than 32767 apart wraps round there; here it must not.
package grey

import (
	"math"

	"github.com/cspine/cspine/internal/volume"
)

// Range is the least and the greatest stored value of a slice, a stack or a volume. Low must not exceed
// High.
type Range struct{ Low, High int32 }

// Of returns the range of a slice, which must not be empty.
func Of(s *volume.Slice) Range {
	low, high := extremes(s.Pix)
	return Range{Low: int32(low) + s.Bias, High: int32(high) + s.Bias}
}

// Union returns the least range that holds both.
func (r Range) Union(o Range) Range {
	return Range{Low: min(r.Low, o.Low), High: max(r.High, o.High)}
}

// Level returns the grey level of value, which must lie within the range.
func (r Range) Level(value int32) uint8 {
	return Level(float64(value)-float64(r.Low), float64(r.High)-float64(r.Low))
}

// Level returns the grey level of a value that lies offset above the least of values spread wide;
// 0 ≤ offset ≤ spread.
func Level(offset, spread float64) uint8 {
	return uint8(float64(offset/(spread+1e-4)) * 255)
}

// Table returns the grey level of every value from Low to High, so that table[v-r.Low] == r.Level(v). It
// writes into buf when that is large enough.
func (r Range) Table(buf []uint8) []uint8 {
	spread := int(int64(r.High) - int64(r.Low))
	if cap(buf) <= spread {
		buf = make([]uint8, spread+1)
	}
	table := buf[:spread+1]
	// Level never falls as its offset grows, so the table is at most 256 runs: a division for each run's
	// end instead of one for each value.
	from := 0
	for level := Level(0, float64(spread)); from <= spread; level++ {
		to := r.end(level, from, spread)
		run := table[from:to]
		for i := range run {
			run[i] = level
		}
		from = to
	}
	return table
}

// end returns the first offset after from whose level exceeds level, or spread+1.
func (r Range) end(level uint8, from, spread int) int {
	wide := float64(spread)
	at := max(from, min(spread+1, int(math.Ceil((float64(level)+1)/255*wide))))
	for at > from && Level(float64(at-1), wide) > level {
		at--
	}
	for at <= spread && Level(float64(at), wide) <= level {
		at++
	}
	return at
}
