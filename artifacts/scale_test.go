package artifacts

import (
	"context"
	"encoding/binary"
	"iter"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"
)

// imagined is a driver on a large store that is nowhere: crops' records and objects, and the one manifest that names nine in ten of them.
type imagined struct {
	Driver
	n        int
	numbers  map[Digest]int32 // of recipes
	manifest []byte
}

func (d *imagined) recipe(i int) Recipe {
	number := binary.BigEndian.AppendUint64(nil, uint64(i))
	return Recipe{Transform: "crop", Version: 1, Params: []Param{{"box", "[10 60] [20 70] [30 50]"}, {"level", "C1"}},
		Inputs: []Input{{"patch", DigestOf(append(number, 'p'))}, {"slices", DigestOf(append(number, 's'))}}}
}

func (d *imagined) output(i int) Digest {
	return DigestOf(binary.BigEndian.AppendUint64(nil, uint64(i)))
}

func newImagined(b *testing.B, n int) *imagined {
	d := &imagined{n: n, numbers: make(map[Digest]int32, n)}
	rows := make([]Row, 0, n)
	for i := range n {
		recipe := d.recipe(i).Digest()
		d.numbers[recipe] = int32(i)
		if i%10 > 0 {
			rows = append(rows, Row{Subject: "1.2.826.0.1", Part: "C1", Step: "crop", Transform: "crop", Recipe: recipe.String(), Digest: d.output(i).String()})
		}
	}
	var err error
	if d.manifest, err = WriteManifest(rows); err != nil {
		b.Fatal(err)
	}
	return d
}

func (d *imagined) List(_ context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		old := time.Now().Add(-48 * time.Hour)
		if strings.HasPrefix("runs/", prefix) && !yield(Info{"runs/neck/1.parquet", int64(len(d.manifest)), old}, nil) {
			return
		}
		if strings.HasPrefix(recordsFolder, strings.TrimSuffix(prefix, "/")) {
			for recipe := range d.numbers {
				if !yield(Info{recordKey(recipe), 900, old}, nil) {
					return
				}
			}
		}
		if strings.HasPrefix(objectsFolder, strings.TrimSuffix(prefix, "/")) {
			for i := range d.n {
				if !yield(Info{objectKey(d.output(i), Zstd), 700_000, old}, nil) {
					return
				}
			}
		}
	}
}

func (d *imagined) Read(_ context.Context, key string) ([]byte, error) {
	if key == markerKey {
		return encodeMarker()
	}
	recipe, ok := parseRecordKey(key)
	if !ok {
		return slices.Clone(d.manifest), nil
	}
	i := int(d.numbers[recipe])
	return encodeRecord(Record{Format: recordFormat, Recipe: d.recipe(i), Output: Output{Digest: d.output(i), Size: 4_515_840, Stored: 700_000, Encoding: Zstd}})
}

// BenchmarkMaintenance is what looking after a store of many artifacts costs but for the store's own time, in seconds and in bytes of memory for an artifact.
func BenchmarkMaintenance(b *testing.B) {
	const n = 200_000
	d := newImagined(b, n)
	s, err := New(b.Context(), d, nil)
	if err != nil {
		b.Fatal(err)
	}
	for name, work := range map[string]func() error{
		"collect": func() error {
			c, err := s.Collect(b.Context(), nil)
			if err == nil && c.Objects[Unnamed].Count != n/10 {
				b.Errorf("%+v", c)
			}
			return err
		},
		"verify": func() error {
			sum, err := s.Verify(b.Context(), nil, func(f Finding) { b.Errorf("%+v", f) })
			if err == nil && sum.Records != n {
				b.Errorf("%+v", sum)
			}
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			var peak uint64
			for b.Loop() {
				peak = max(peak, heapPeak(func() { err = work() }))
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(peak)/n, "B/artifact")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/artifact")
		})
	}
}

// heapPeak returns by how many bytes the heap was larger at most than before, with little garbage.
func heapPeak(work func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	runtime.GC()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	before, peak := read(), uint64(0)
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			peak = max(peak, read())
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	work()
	close(done)
	<-ended
	return peak - min(peak, before)
}
