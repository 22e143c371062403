package artifacts

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
)

// cropLike returns uint8 [15, 6, 224, 224], 4.5 MB, that compress about as vertebra crops do: smooth
// tissue with noise of a few levels in five channels, a mostly empty mask in the sixth.
func cropLike() []byte {
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 0, 15*6*224*224)
	for z := range 15 {
		for channel := range 6 {
			for y := range 224 {
				for x := range 224 {
					r := math.Hypot(float64(x-112), float64(y-112))
					switch {
					case channel == 5 && r < 40+float64(z):
						data = append(data, 255)
					case channel == 5 || r > 110:
						data = append(data, 0)
					default:
						data = append(data, byte(110+60*math.Sin(r/9)+4*random.NormFloat64()))
					}
				}
			}
		}
	}
	return data
}

// maskLike returns uint8 [7, 128, 128, 128], 14.7 MB, that are nearly all zeros.
func maskLike() []byte {
	data := make([]byte, 7*128*128*128)
	random := rand.New(rand.NewPCG(3, 4))
	for level := range 7 {
		for row := 40; row < 70; row++ {
			for column := 45; column < 85; column++ {
				at := ((level*128+row)*128+column)*128 + level*16
				for slice := range 12 {
					data[at+slice] = byte(min(255, 128+random.IntN(400)))
				}
			}
		}
	}
	return data
}

func benchStore(b *testing.B) *Store {
	s, err := Open(b.Context(), b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkPut(b *testing.B) {
	for name, data := range map[string][]byte{"crop 4.5 MB": cropLike(), "mask 14.7 MB": maskLike()} {
		b.Run(name, func(b *testing.B) {
			s := benchStore(b)
			b.SetBytes(int64(len(data)))
			var stored int64
			for i := 0; b.Loop(); i++ {
				binary.LittleEndian.PutUint64(data, uint64(i)) // a new object each time
				out, err := s.Put(b.Context(), Content{Data: data})
				if err != nil {
					b.Fatal(err)
				}
				stored = out.Stored
			}
			b.ReportMetric(100*float64(stored)/float64(len(data)), "%stored")
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for name, data := range map[string][]byte{"crop 4.5 MB": cropLike(), "mask 14.7 MB": maskLike()} {
		b.Run(name, func(b *testing.B) {
			s := benchStore(b)
			out, err := s.Put(b.Context(), Content{Data: data})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := s.Get(b.Context(), out.Digest); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkParts tells what Put and Get are made of.
func BenchmarkParts(b *testing.B) {
	data := cropLike()
	stored := encodeZstd(nil, data)
	for name, part := range map[string]func(){
		"hash":   func() { DigestOf(data) },
		"encode": func() { encodeZstd(nil, data) },
		"decode": func() {
			if _, err := decode(stored, Zstd); err != nil {
				b.Fatal(err)
			}
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				part()
			}
		})
	}
}

// cropRecipe has as many inputs as a crop of 75 slices.
func cropRecipe() Recipe {
	r := Recipe{Transform: "crop", Version: 1, Params: []Param{{"size", "224"}, {"values", "stored"}, {"box", "12,40,33,70,10,25"}}}
	for i := range 75 {
		r.Inputs = append(r.Inputs, Input{Name: "slice", Digest: DigestOf([]byte{byte(i)})})
	}
	return r
}

func BenchmarkLookup(b *testing.B) {
	few := cropRecipe()
	few.Inputs = few.Inputs[:3]
	for name, r := range map[string]Recipe{"3 inputs": few, "75 inputs": cropRecipe()} {
		s := benchStore(b)
		compute := func(context.Context) (Content, error) { return Content{Data: []byte("x")}, nil }
		if _, err := s.Do(b.Context(), r, compute); err != nil {
			b.Fatal(err)
		}
		key := r.Digest()
		b.Run("Lookup/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, hit, err := s.Lookup(b.Context(), key); !hit {
					b.Fatal(err)
				}
			}
		})
		b.Run("Do/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Do(b.Context(), r, compute); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDoMiss is what storing one small result costs: two files, each flushed with its folder, or not.
func BenchmarkDoMiss(b *testing.B) {
	for name, opts := range map[string]*Options{"flush": nil, "no flush": {NoFlush: true}} {
		b.Run(name, func(b *testing.B) {
			s, err := Open(b.Context(), b.TempDir(), opts)
			if err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				r := Recipe{Transform: "box", Version: i}
				if _, err := s.Do(b.Context(), r, func(context.Context) (Content, error) {
					return Content{Data: binary.LittleEndian.AppendUint64(nil, uint64(i))}, nil
				}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkManifest(b *testing.B) {
	rows := manyRows(20_000)
	file, err := WriteManifest(rows)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("write 20,000 rows", func(b *testing.B) {
		for b.Loop() {
			if _, err := WriteManifest(rows); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(file))/float64(len(rows)), "B/row")
	})
	b.Run("read 20,000 rows", func(b *testing.B) {
		for b.Loop() {
			if _, err := ReadManifest(file); err != nil {
				b.Fatal(err)
			}
		}
	})
}
