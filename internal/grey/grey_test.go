package grey

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"pgregory.net/rapid"

	"github.com/cspine/cspine/internal/volume"
)

func TestTableIsLevelOfEveryValue(t *testing.T) {
	ranges := []Range{{0, 0}, {5, 6}, {-1, 0}, {0, 254}, {0, 255}, {0, 256}, {-1024, 3071}, {-32768, 32767}, {-32768, 65535}}
	check := func(t interface{ Fatalf(string, ...any) }, r Range, table []uint8) {
		if want := int(r.High-r.Low) + 1; len(table) != want {
			t.Fatalf("%v: table of %d values, want %d", r, len(table), want)
		}
		for i, got := range table {
			if want := r.Level(r.Low + int32(i)); got != want {
				t.Fatalf("%v: value %d has level %d, want %d", r, r.Low+int32(i), got, want)
			}
		}
	}
	for _, r := range ranges {
		check(t, r, r.Table(nil))
	}
	buf := make([]uint8, 3000)
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.Int32Range(-32768, 32767).Draw(t, "low")
		r := Range{low, low + rapid.Int32Range(0, 9000).Draw(t, "spread")}
		check(t, r, r.Table(buf))
	})
}

// TestLevelsAreNumpys compares with the digest of
//
//	np.concatenate([(np.arange(s + 1) / (s + 1e-4) * 255).astype(np.uint8) for s in range(0, 5000, 7)])
//
// in numpy 2.4.6.
func TestLevelsAreNumpys(t *testing.T) {
	const want = "fd788f925451f079bcbd83c33455b538d11d85d9c0bc3e03131110472d2400ef"
	h := sha256.New()
	var table []uint8
	for spread := int32(0); spread < 5000; spread += 7 {
		table = Range{-3, spread - 3}.Table(table)
		h.Write(table)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("levels have digest %s, numpy's %s", got, want)
	}
}

func TestRangeIsOfStoredValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := volume.Slice{Rows: 1, Pix: rapid.SliceOfN(rapid.Uint16(), 1, 40).Draw(t, "pix"), Bias: rapid.SampledFrom([]int32{0, -32768}).Draw(t, "bias")}
		s.Columns = len(s.Pix)
		want := Range{s.Value(0, 0), s.Value(0, 0)}
		for c := range s.Columns {
			want = want.Union(Range{s.Value(0, c), s.Value(0, c)})
		}
		if got := Of(&s); got != want {
			t.Fatalf("range %v, want %v", got, want)
		}
	})
}

func BenchmarkRangeOfSlice512(b *testing.B) {
	s := volume.Slice{Rows: 512, Columns: 512, Pix: make([]uint16, 512*512)}
	for i := range s.Pix {
		s.Pix[i] = uint16(i * 7919)
	}
	b.SetBytes(512 * 512 * 2)
	for b.Loop() {
		Of(&s)
	}
}

func BenchmarkTable4096(b *testing.B) {
	var table []uint8
	for b.Loop() {
		table = Range{-1024, 3071}.Table(table)
	}
}
