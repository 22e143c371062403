//go:build unix

package kernel

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// layer is a named convolution of a network this project trains.
type layer struct {
	name                     string
	in, out, size, kernel, s int
	dims                     int
	group                    int // 0: 1
}

// volumes are the convolutions of the reference U-Net (64³), of the small one (128³), and of image networks.
var volumes = []layer{
	{"stem 1>16 k3 s2 @128", 1, 16, 128, 3, 2, 3, 1},
	{"stem 3>64 k7 s2 @64", 3, 64, 64, 7, 2, 3, 1},
	{"16>16 k3 @64", 16, 16, 64, 3, 1, 3, 1},
	{"32>32 k3 @32", 32, 32, 32, 3, 1, 3, 1},
	{"64>64 k3 @16", 64, 64, 16, 3, 1, 3, 1},
	{"96>96 k3 @8", 96, 96, 8, 3, 1, 3, 1},
	{"64>128 k3 s2 @16", 64, 128, 16, 3, 2, 3, 1},
	{"64>128 k1 s2 @16", 64, 128, 16, 1, 2, 3, 1},
	{"128>128 k3 @8", 128, 128, 8, 3, 1, 3, 1},
	{"256>256 k3 @4", 256, 256, 4, 3, 1, 3, 1},
	{"512>512 k3 @2", 512, 512, 2, 3, 1, 3, 1},
	{"768>256 k3 @4", 768, 256, 4, 3, 1, 3, 1},
	{"128>64 k3 @32", 128, 64, 32, 3, 1, 3, 1},
	{"32>16 k3 @64", 32, 16, 64, 3, 1, 3, 1},
	{"transposed 16>8 k4 s2 @64", 8, 16, 128, 4, 2, 3, 1},
	{"8>7 k3 @128", 8, 7, 128, 3, 1, 3, 1},
	{"image 3>32 k3 s2 @224", 3, 32, 224, 3, 2, 2, 1},
	{"image 32>64 k3 @112", 32, 64, 112, 3, 1, 2, 1},
	{"image 64>64 k3 @56", 64, 64, 56, 3, 1, 2, 1},
	{"image 256>256 k1 @28", 256, 256, 28, 1, 1, 2, 1},
	{"image 256>256 k3 @14", 256, 256, 14, 3, 1, 2, 1},
	{"depthwise 64 k3 @112", 64, 64, 112, 3, 1, 2, 64},
	{"depthwise 256 k7 @14", 256, 256, 14, 7, 1, 2, 256},
}

func (l layer) geometry() Geometry {
	pad := (l.kernel - 1) / 2
	out := (l.size+2*pad-l.kernel)/l.s + 1
	same := func(n, flat int) [3]int {
		if l.dims == 2 {
			return [3]int{flat, n, n}
		}
		return [3]int{n, n, n}
	}
	return Geometry{Batch: 1, In: l.in, Out: l.out, Group: max(1, l.group), InSize: same(l.size, 1), OutSize: same(out, 1),
		Kernel: same(l.kernel, 1), Stride: same(l.s, 1), Dilation: same(1, 1), PadBegin: same(pad, 0)}
}

// TestListLayers prints the benchmark's layers for bench/conv_versus.py.
func TestListLayers(t *testing.T) {
	if !testing.Verbose() {
		t.Skip("only with -v")
	}
	for _, l := range volumes {
		fmt.Printf("layer %s: %d %d %d %d %d %d %d\n", l.name, l.in, l.out, l.size, l.kernel, l.s, l.dims, max(1, l.group))
	}
}

func BenchmarkConv(b *testing.B) {
	for _, l := range volumes {
		for _, n := range []int{1, 2} {
			c, err := NewConv(l.geometry(), NewWorkers(n))
			if err != nil {
				b.Fatal(err)
			}
			fill := func(n int) []float32 {
				s := make([]float32, n)
				for i := range s {
					s[i] = float32(i*7919%65537)/65537 - 0.5
				}
				return s
			}
			x, w, y := fill(c.xLen), fill(c.wLen), fill(c.yLen)
			flops := 2 * float64(c.yLen) * float64(c.inG*c.kVol)
			run := func(what string, f func()) {
				b.Run(fmt.Sprintf("%s/%s/%d", l.name, what, n), func(b *testing.B) {
					f()
					before := processorTime()
					for b.Loop() {
						f()
					}
					spent := processorTime() - before
					b.ReportMetric(flops*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
					// On a machine with other work to do, time on the processor is what can be compared.
					b.ReportMetric(flops*float64(b.N)/float64(spent.Nanoseconds()), "GFLOP/cpu-s")
					b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "cpu-ns/op")
				})
			}
			run("forward", func() { c.Forward(y, x, w, nil) })
			run("input", func() { c.GradInput(x, w, y) })
			run("weight", func() { c.GradWeight(w, x, y) })
		}
	}
}

func processorTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
