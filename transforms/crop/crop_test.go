package crop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
)

// expected is testdata/expected.json; see make_expected.py there.
type expected struct {
	Places string
	Boxes  []*[3][2]int
	Crops  []synthetic
}

// synthetic is a study whose values are a formula.
type synthetic struct {
	Name                  string
	Slices, Rows, Columns int
	DType                 string
	Digests               []string
}

func readExpected(t *testing.T) expected {
	t.Helper()
	file, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var e expected
	if err := json.Unmarshal(file, &e); err != nil {
		t.Fatal(err)
	}
	if len(e.Boxes) != volume.Levels || len(e.Crops) == 0 {
		t.Fatal("testdata/expected.json is incomplete")
	}
	return e
}

// slice is make_expected.py's.
func (s synthetic) slice(_ context.Context, z int) (volume.Slice, error) {
	out := volume.Slice{Rows: s.Rows, Columns: s.Columns, Pix: make([]uint16, s.Rows*s.Columns)}
	low := 7
	if s.DType == "int16" {
		out.Bias, low = -32768, -1024
	}
	for i := range out.Pix {
		row, column := i/s.Columns, i%s.Columns
		x := uint32(row)*0x9E3779B1 + uint32(column)*0x85EBCA77 + uint32(z)*0xC2B2AE3D
		x = (x ^ x>>15) * 0x2C1B3C6D
		x = (x ^ x>>12) * 0x297A2D39
		x ^= x >> 15
		v := abs(row*21%2048-1024) + abs(column*25%2048-1024) + 30*(z/3) + int(x>>26) + low
		out.Pix[i] = uint16(int32(v) - out.Bias)
	}
	return out, nil
}

func abs(x int) int { return max(x, -x) }

// testMask is make_expected.py's: C1 and C7 touch the ends of the grid, C3 and C4 its sides, C5 lies between
// the thresholds, C6 is missing.
var testMask = sync.OnceValue(func() *npy.Array {
	m := npy.New(npy.Uint8, volume.Levels, Grid, Grid, Grid)
	for level, v := range [][5]int{{60, 64, 0, 300, 255}, {30, 90, 30, 400, 255}, {0, 64, 50, 500, 200}, {64, 127, 70, 450, 255}, {90, 20, 85, 200, 40},
		{64, 64, 100, 0, 0}, {70, 60, 127, 900, 255}} {
		far, peak := v[3], v[4]
		if peak == 0 {
			continue
		}
		values := maskLevel(m, level)
		for i := range values {
			r, c, s := i/Grid/Grid-v[0], i/Grid%Grid-v[1], i%Grid-v[2]
			// Python's // rounds down, Go's / towards zero; here both are positive.
			if d := (r*r + c*c + 4*s*s) * peak / far; d < peak {
				values[i] = uint8(peak - d)
			}
		}
	}
	return m
})

func TestBoxesEqualThePythonPath(t *testing.T) {
	verdicts := Boxes(testMask(), BoxOptions{})
	for level, want := range readExpected(t).Boxes {
		v := verdicts[level]
		if want == nil {
			if diff := cmp.Diff(Verdict{Level: level, Reason: EmptyMask}, v); diff != "" {
				t.Error(diff)
			}
			continue
		}
		b := Box{Level: level, Row: want[0], Column: want[1], Slice: want[2], Threshold: 0.2}
		if level == 4 {
			b.Threshold = 0.05
		}
		if diff := cmp.Diff(Verdict{Level: level, Found: true, Box: b}, v); diff != "" {
			t.Errorf("%s (-want +got):\n%s", volume.LevelName(level), diff)
		}
	}
}

func TestPlacesEqualNumpys(t *testing.T) {
	h := sha256.New()
	ns := []int{200, 241, 300, 333, 512, 700, 1001}
	for n := 129; n >= 1; n-- {
		ns = slices.Insert(ns, 0, n)
	}
	for _, n := range ns {
		for z1 := 0; z1 < Grid; z1 += 3 {
			for _, thick := range []int{1, 2, 7, 15, 20, 33} {
				if z1+thick > Grid {
					continue
				}
				at := Positions(Box{Slice: [2]int{z1, z1 + thick}}, n)
				var study, mask []int32
				for _, p := range at {
					study, mask = append(study, int32(p.Slice)), append(mask, int32(p.MaskSlice))
				}
				if err := binary.Write(h, binary.LittleEndian, append(study, mask...)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if got, want := hex.EncodeToString(h.Sum(nil)[:8]), readExpected(t).Places; got != want {
		t.Errorf("digest of all places is %s, numpy's %s", got, want)
	}
}

func TestCropsEqualThePythonPath(t *testing.T) {
	for _, c := range readExpected(t).Crops {
		t.Run(c.Name, func(t *testing.T) {
			var boxes []Box
			var patches []*npy.Array
			for level, v := range Boxes(testMask(), BoxOptions{}) {
				fit := Fit(v, c.Rows, c.Columns, c.Slices)
				if c.Digests[level] == "empty" {
					if fit.Found || fit.Reason != EmptyBox {
						t.Errorf("%s: verdict %+v, want %s", volume.LevelName(level), fit, EmptyBox)
					}
				} else if fit != v {
					t.Errorf("%s: verdict %+v, want %+v", volume.LevelName(level), fit, v)
				}
				if c.Digests[level] != "" && fit.Found {
					boxes, patches = append(boxes, v.Box), append(patches, Patch(testMask(), v.Box))
				}
			}
			var mu sync.Mutex
			got := map[int]string{}
			err := Each(t.Context(), boxes, patches, c.Slices, c.slice, Options{}, func(i int, tensor *npy.Array) error {
				mu.Lock()
				defer mu.Unlock()
				got[boxes[i].Level] = digest(tensor)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for level, want := range c.Digests {
				if want != "empty" && got[level] != want {
					t.Errorf("%s: differs from the Python path", volume.LevelName(level))
				}
			}
		})
	}
}

func digest(a *npy.Array) string {
	sum := sha256.Sum256(a.Data)
	return hex.EncodeToString(sum[:8])
}

// small is a study that costs little, cut to any size by its fields.
var small = synthetic{Slices: 60, Rows: 130, Columns: 140, DType: "int16"}

// found returns the boxes of testMask that fit a study, and their patches.
func found(rows, columns, n int) (boxes []Box, patches []*npy.Array) {
	for _, v := range Boxes(testMask(), BoxOptions{}) {
		if v = Fit(v, rows, columns, n); v.Found {
			boxes, patches = append(boxes, v.Box), append(patches, Patch(testMask(), v.Box))
		}
	}
	return boxes, patches
}

func TestEachMakesWhatVertebraMakesWhateverTheWorkers(t *testing.T) {
	boxes, patches := found(small.Rows, small.Columns, small.Slices)
	for _, workers := range []int{1, 2, 5} {
		var mu sync.Mutex
		got := map[int]*npy.Array{}
		err := Each(t.Context(), boxes, patches, small.Slices, small.slice, Options{Workers: workers}, func(i int, tensor *npy.Array) error {
			mu.Lock()
			defer mu.Unlock()
			if got[i] != nil {
				t.Errorf("box %d was emitted twice", i)
			}
			got[i] = tensor
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range boxes {
			want, err := Vertebra(t.Context(), b, patches[i], small.Slices, small.slice, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]int{Places, Channels, Size, Size}, want.Shape); diff != "" {
				t.Fatal(diff)
			}
			if got[i] == nil || !bytes.Equal(want.Bytes(), got[i].Bytes()) {
				t.Errorf("%d workers: %s differs", workers, volume.LevelName(b.Level))
			}
		}
	}
}

func TestEverySliceIsFetchedOnceAndHeldBriefly(t *testing.T) {
	boxes, patches := found(small.Rows, small.Columns, 200)
	for _, workers := range []int{1, 2, 3} {
		var mu sync.Mutex
		fetched := map[int]int{}
		var held, most atomic.Int32
		get := func(ctx context.Context, i int) (volume.Slice, error) {
			mu.Lock()
			fetched[i]++
			mu.Unlock()
			h := held.Add(1)
			for m := most.Load(); h > m && !most.CompareAndSwap(m, h); m = most.Load() {
			}
			return small.slice(ctx, i)
		}
		opts := Options{Workers: workers, Release: func(s volume.Slice) {
			held.Add(-1)
			clear(s.Pix) // whoever still reads it gets caught by the comparison of crops and by -race
		}}
		if err := Each(t.Context(), boxes, patches, 200, get, opts, func(int, *npy.Array) error { return nil }); err != nil {
			t.Fatal(err)
		}
		want := map[int]int{}
		for _, b := range boxes {
			for _, z := range Slices(b, 200) {
				want[z] = 1
			}
		}
		if diff := cmp.Diff(want, fetched); diff != "" {
			t.Errorf("%d workers (-want +got):\n%s", workers, diff)
		}
		if held.Load() != 0 || most.Load() > int32(5*workers+5) {
			t.Errorf("%d workers: %d slices were held at a time, %d never released", workers, most.Load(), held.Load())
		}
	}
}

func TestACropDependsOnItsOwnSlicesOnly(t *testing.T) {
	boxes, patches := found(small.Rows, small.Columns, small.Slices)
	b, patch := boxes[1], patches[1]
	want, err := Vertebra(t.Context(), b, patch, small.Slices, small.slice, Options{})
	if err != nil {
		t.Fatal(err)
	}
	reads := Slices(b, small.Slices)
	spoilt := func(ctx context.Context, z int) (volume.Slice, error) {
		if !slices.Contains(reads, z) {
			return volume.Slice{}, fmt.Errorf("slice %d is not one of %v", z, reads)
		}
		return small.slice(ctx, z)
	}
	got, err := Vertebra(t.Context(), b, patch, small.Slices, spoilt, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Error("a second run made another crop")
	}
}

func TestSlicesOfDifferentSizesAreCutInProportion(t *testing.T) {
	boxes, patches := found(128, 128, 40)
	flat := func(_ context.Context, z int) (volume.Slice, error) {
		edge := 128 + z%3*64
		s := volume.Slice{Rows: edge, Columns: edge, Pix: make([]uint16, edge*edge), Bias: -32768 * int32(z%2)}
		for i := range s.Pix {
			r, c := i/edge*128/edge, i%edge*128/edge // the same picture at each size
			s.Pix[i] = uint16(int32(r+c) - s.Bias)
		}
		return s, nil
	}
	tensor, err := Vertebra(t.Context(), boxes[1], patches[1], 40, flat, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for k := 1; k < Channels-1; k++ {
		centre := (Size/2)*Size + Size/2
		got, want := int(tensor.Data[k*planeSize+centre]), int(tensor.Data[centre])
		if abs(got-want) > 2 {
			t.Errorf("channel %d: the centre is %d, in channel 0 %d", k, got, want)
		}
	}
}

func TestRefusesWhatHasNoCrop(t *testing.T) {
	boxes, patches := found(512, 512, 200)
	b, patch := boxes[1], patches[1]
	broken := errors.New("broken")
	thin := b
	thin.Slice = [2]int{1, 2}
	size := func(rows, columns int) Getter {
		return func(context.Context, int) (volume.Slice, error) {
			return volume.Slice{Rows: rows, Columns: columns, Pix: make([]uint16, rows*columns)}, nil
		}
	}
	for _, c := range []struct {
		name  string
		b     Box
		patch *npy.Array
		n     int
		get   Getter
		emit  error
		is    error
		says  string
	}{
		{"no slice in the box", thin, patch, 10, size(128, 128), nil, ErrEmptyBox, "study of 10"},
		{"no row in the box", b, patch, 200, size(2, 512), nil, ErrEmptyBox, "2x512"},
		{"no column in the box", b, patch, 200, size(512, 1), nil, ErrEmptyBox, "512x1"},
		{"patch of another box", b, npy.New(npy.Uint8, Places, 3, 3), 200, size(128, 128), nil, nil, "does not fit"},
		{"slice cannot be fetched", b, patch, 200, func(context.Context, int) (volume.Slice, error) { return volume.Slice{}, broken }, nil, broken, "slice "},
		{"slice is empty", b, patch, 200, func(context.Context, int) (volume.Slice, error) { return volume.Slice{}, nil }, nil, nil, "0 rows"},
		{"crop cannot be kept", b, patch, 200, size(128, 128), broken, broken, ""},
		{"decoder panics", b, patch, 200, func(context.Context, int) (volume.Slice, error) { panic("index out of range") }, nil, nil, "internal_error: a string in"},
	} {
		err := Each(t.Context(), []Box{c.b}, []*npy.Array{c.patch}, c.n, c.get, Options{}, func(int, *npy.Array) error { return c.emit })
		if err == nil || !strings.Contains(err.Error(), c.says) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: error is %v, want one that says %q", c.name, err, c.says)
		}
	}
	if err := Each(t.Context(), boxes, nil, 200, small.slice, Options{}, nil); err == nil {
		t.Error("boxes without patches were accepted")
	}
	if err := Each(t.Context(), nil, nil, 200, small.slice, Options{}, nil); err != nil {
		t.Errorf("no boxes are no work, not an error: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Vertebra(cancelled, b, patch, 200, small.slice, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled context: error is %v", err)
	}
}
