package openvino

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/modelstest"
)

// BenchmarkInfer runs the ONNX file named in CSPINE_BENCH_MODEL, or the suite's small U-Net, with two
// threads: one operation is one inference. On a busy machine look at cpu-s/op.
func BenchmarkInfer(b *testing.B) {
	e := engine(b)
	model := modelstest.Model(b, "unet")
	if path := os.Getenv("CSPINE_BENCH_MODEL"); path != "" {
		var err error
		if model, err = os.ReadFile(path); err != nil {
			b.Fatal(err)
		}
	}
	for _, streams := range []int{1, 2} {
		for _, precision := range e.Precisions() {
			b.Run(fmt.Sprintf("%s/%dstreams", precision, streams), func(b *testing.B) {
				opts := &models.CompileOptions{Precision: precision, Threads: 2, Streams: streams, EqualChannels: true}
				n, err := e.Compile(b.Context(), model, opts)
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { _ = n.Close() })
				b.SetParallelism(1) // GOMAXPROCS callers; those beyond the streams wait
				start := cpuSeconds()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					in, out := make([]float32, n.Inputs()[0].Len()), make([]float32, n.Outputs()[0].Len())
					for pb.Next() {
						if err := n.Infer(b.Context(), [][]float32{in}, [][]float32{out}); err != nil {
							b.Error(err)
						}
					}
				})
				b.ReportMetric((cpuSeconds()-start)/float64(b.N), "cpu-s/op")
			})
		}
	}
}

// cpuSeconds is the processor time that this process has used.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}
