package shard

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cspine/cspine/internal/npy"
)

// benchSamples are the .npy crops named <study>_<level>.npy that CSPINE_CROPS matches, or made-up ones.
func benchSamples(b *testing.B) []Sample {
	files, _ := filepath.Glob(os.Getenv("CSPINE_CROPS"))
	var samples []Sample
	for _, f := range files {
		file, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		a, err := npy.Decode(file)
		if err != nil {
			b.Fatal(err)
		}
		study, level, _ := strings.Cut(strings.TrimSuffix(filepath.Base(f), ".npy"), "_")
		samples = append(samples, Sample{
			StudyUID: study, Vertebra: "C" + level, Tensor: a.Data, Shape: a.Shape, DType: "uint8", ZPositions: make([]int, 15),
		})
	}
	if samples == nil {
		samples = samplesOf(7, 15, 6, 224, 224)
	}
	return samples
}

func BenchmarkWrite(b *testing.B) {
	samples := benchSamples(b)
	var out bytes.Buffer
	var stats Stats
	for b.Loop() {
		out.Reset()
		var err error
		if stats, err = Write(&out, sequence(samples), Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(samples)*b.N)/b.Elapsed().Seconds(), "crops/s")
	b.ReportMetric(float64(stats.Stored)/float64(stats.Raw), "ratio")
}

func BenchmarkRead(b *testing.B) {
	samples := benchSamples(b)
	file := write(b, samples, 0)
	for b.Loop() {
		n := 0
		for _, err := range open(b, file).Samples(context.Background(), ReadOptions{}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != len(samples) {
			b.Fatalf("%d of %d samples", n, len(samples))
		}
	}
	b.ReportMetric(float64(len(samples)*b.N)/b.Elapsed().Seconds(), "crops/s")
}
