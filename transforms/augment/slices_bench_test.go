//go:build unix

package augment

import (
	"syscall"
	"testing"
	"time"
)

// BenchmarkSlices changes a vertebra of 15 slices of 112².
func BenchmarkSlices(b *testing.B) {
	src, dst := vertebra(1, 15, 112), make([]uint8, 15*Planes*112*112)
	for _, c := range []struct {
		name string
		o    Slices
	}{
		{"recommended", RecommendedSlices()}, {"method", MethodSlices()}, {"none", Slices{}},
		{"move", Slices{MoveP: 1, Shift: 0.1, Rotate: 15}}, {"move each", Slices{MoveP: 1, Shift: 0.1, Rotate: 15, MoveEach: true}},
		{"motion", Slices{SpoilP: 1, Motion: 1}}, {"median", Slices{SpoilP: 1, Median: 1}}, {"binomial", Slices{SpoilP: 1, Gaussian: 1}},
		{"noise", Slices{SpoilP: 1, Noise: 1, NoiseTo: 0.02}},
	} {
		b.Run(c.name, func(b *testing.B) {
			seed, begin := uint64(0), processorTime()
			for b.Loop() {
				seed++
				if _, err := c.o.Apply(dst, src, 112, seed); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((processorTime()-begin).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}

// processorTime is what this process has used: on a machine that does other things too, it says more than the clock.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
