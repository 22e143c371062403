package resample

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
)

// expected is testdata/expected.json; see make_expected.py there.
type expected struct {
	Picks   map[string]string
	Volumes []expectedVolume
}

type expectedVolume struct {
	Name                  string
	Slices, Edge          int
	Sizes                 [][2]int
	DType, Filter, Digest string
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
	if len(e.Picks) == 0 || len(e.Volumes) == 0 {
		t.Fatal("testdata/expected.json is empty")
	}
	return e
}

func TestPickFollowsTheMethodsExamples(t *testing.T) {
	for _, c := range []struct {
		n, k int
		want []int
	}{
		{10, 5, []int{0, 2, 4, 7, 9}},
		{2, 5, []int{0, 0, 0, 1, 1}},
		{1, 3, []int{0, 0, 0}},
		{7, 1, []int{0}},
		{0, 5, nil},
		{5, 0, nil},
	} {
		if diff := cmp.Diff(c.want, Pick(c.n, c.k)); diff != "" {
			t.Errorf("%d of %d (-want +got):\n%s", c.k, c.n, diff)
		}
	}
}

func TestPickEqualsNumpyForEveryStudyUpTo2000Slices(t *testing.T) {
	for name, want := range readExpected(t).Picks {
		k, err := strconv.Atoi(name)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		for n := 1; n <= 2000; n++ {
			for _, i := range Pick(n, k) {
				if err := binary.Write(h, binary.LittleEndian, int32(i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := hex.EncodeToString(h.Sum(nil)[:8]); got != want {
			t.Errorf("k = %d: digest of all picks is %s, numpy's %s", k, got, want)
		}
	}
}

func TestPickRisesFromFirstToLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, k := rapid.IntRange(1, 5000).Draw(t, "n"), rapid.IntRange(2, 300).Draw(t, "k")
		p := Pick(n, k)
		if len(p) != k || p[0] != 0 || p[k-1] != n-1 {
			t.Fatalf("%v", p)
		}
		for i := 1; i < k; i++ {
			if p[i] < p[i-1] {
				t.Fatalf("falls at %d: %v", i, p)
			}
		}
	})
}

func TestVolumesEqualThePythonPath(t *testing.T) {
	for _, c := range readExpected(t).Volumes {
		t.Run(c.Name+" "+c.Filter, func(t *testing.T) {
			v, _, err := Volume(t.Context(), c.Slices, c.slice, Options{Filter: c.Filter, Size: c.Edge})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]int{c.Edge, c.Edge, c.Edge}, v.Shape); diff != "" {
				t.Fatal(diff)
			}
			if sum := sha256.Sum256(v.Data); hex.EncodeToString(sum[:8]) != c.Digest {
				t.Error("differs from the Python path")
			}
		})
	}
}

// slice is make_expected.py's study.
func (c expectedVolume) slice(_ context.Context, z int) (volume.Slice, Rescale, error) {
	size := c.Sizes[z%len(c.Sizes)]
	s := volume.Slice{Rows: size[0], Columns: size[1], Pix: make([]uint16, size[0]*size[1])}
	low := 0
	if c.DType == "int16" {
		s.Bias, low = -32768, -1024
	}
	for i := range s.Pix {
		row, column := i/s.Columns, i%s.Columns
		x := uint32(row)*0x9E3779B1 + uint32(column)*0x85EBCA77 + uint32(z)*0xC2B2AE3D
		x = (x ^ x>>15) * 0x2C1B3C6D
		x = (x ^ x>>12) * 0x297A2D39
		x ^= x >> 15
		v := abs(row*21%2048-1024) + abs(column*25%2048-1024) + 30*z + int(x>>26) + low
		s.Pix[i] = uint16(int32(v) - s.Bias)
	}
	return s, Rescale{Slope: 1, Intercept: -1024}, nil
}

func abs(x int) int { return max(x, -x) }

var ct = expectedVolume{Slices: 40, Sizes: [][2]int{{96, 80}}, DType: "uint16"}

func TestEverySliceIsFetchedAtMostOnce(t *testing.T) {
	for _, n := range []int{1, 40, 128, 300} {
		var mu sync.Mutex
		fetched := map[int]int{}
		get := func(ctx context.Context, i int) (volume.Slice, Rescale, error) {
			mu.Lock()
			defer mu.Unlock()
			fetched[i]++
			return volume.Slice{Rows: 1, Columns: 1, Pix: []uint16{uint16(i)}}, Rescale{}, nil
		}
		if _, _, err := Volume(t.Context(), n, get, Options{Size: 32}); err != nil {
			t.Fatal(err)
		}
		want := map[int]int{}
		for _, i := range Pick(n, 32) {
			want[i] = 1
		}
		if diff := cmp.Diff(want, fetched); diff != "" {
			t.Errorf("n = %d (-want +got):\n%s", n, diff)
		}
	}
}

func TestNoMoreSlicesAreHeldThanWorkers(t *testing.T) {
	for _, workers := range []int{1, 3} {
		var held, most atomic.Int32
		get := func(ctx context.Context, i int) (volume.Slice, Rescale, error) {
			h := held.Add(1)
			for m := most.Load(); h > m && !most.CompareAndSwap(m, h); m = most.Load() {
			}
			return ct.slice(ctx, i)
		}
		opts := Options{Size: 32, Workers: workers, Release: func(volume.Slice) { held.Add(-1) }}
		if _, _, err := Volume(t.Context(), 40, get, opts); err != nil {
			t.Fatal(err)
		}
		if held.Load() != 0 || most.Load() > int32(workers) {
			t.Errorf("%d workers: %d slices were held at a time, %d never released", workers, most.Load(), held.Load())
		}
	}
}

func TestWorkersDoNotChangeTheVolume(t *testing.T) {
	var first *npy.Array
	for _, workers := range []int{1, 2, 7} {
		v, _, err := Volume(t.Context(), 40, ct.slice, Options{Size: 32, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = v
		}
		if !bytes.Equal(v.Bytes(), first.Bytes()) {
			t.Errorf("%d workers make another volume than 1", workers)
		}
	}
}

func TestHounsfieldUnitsUndoARescaleThatDiffersBySlice(t *testing.T) {
	// The same study, its odd slices stored at half scale with another intercept.
	mixed := func(ctx context.Context, i int) (volume.Slice, Rescale, error) {
		s, r, err := ct.slice(ctx, i)
		for k := range s.Pix {
			s.Pix[k] &^= 1
		}
		if i%2 == 0 {
			return s, r, err
		}
		for k := range s.Pix {
			s.Pix[k] = s.Pix[k]/2 + 100
		}
		return s, Rescale{Slope: 2 * r.Slope, Intercept: r.Intercept - 200}, err
	}
	plain := func(ctx context.Context, i int) (volume.Slice, Rescale, error) {
		s, r, err := ct.slice(ctx, i)
		for k := range s.Pix {
			s.Pix[k] &^= 1
		}
		return s, r, err
	}
	for _, filter := range []string{"linear", "area"} {
		opts := Options{Filter: filter, Values: ValuesHU, Size: 48}
		want, _, err := Volume(t.Context(), 40, plain, opts)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := Volume(t.Context(), 40, mixed, opts)
		if err != nil {
			t.Fatal(err)
		}
		opts.Values = ValuesStored
		stored, _, err := Volume(t.Context(), 40, plain, opts)
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range want.Data {
			if d := int(got.Data[i]) - int(w); d < -1 || d > 1 {
				t.Fatalf("%s: voxel %d is %d with mixed rescales, %d without", filter, i, got.Data[i], w)
			}
			if d := int(stored.Data[i]) - int(w); d < -1 || d > 1 {
				t.Fatalf("%s: voxel %d is %d from stored values, %d from Hounsfield units of one rescale", filter, i, stored.Data[i], w)
			}
		}
	}
}

func TestRefusesWhatHasNoVolume(t *testing.T) {
	broken := errors.New("broken")
	fails := func(ctx context.Context, i int) (volume.Slice, Rescale, error) {
		return volume.Slice{}, Rescale{}, broken
	}
	short := func(ctx context.Context, i int) (volume.Slice, Rescale, error) {
		return volume.Slice{Rows: 4, Columns: 4, Pix: make([]uint16, 15)}, Rescale{Slope: 1}, nil
	}
	flat := func(ctx context.Context, i int) (volume.Slice, Rescale, error) {
		return volume.Slice{Rows: 1, Columns: 1, Pix: []uint16{5}}, Rescale{}, nil
	}
	for _, c := range []struct {
		name string
		n    int
		get  Getter
		opts Options
		says string
	}{
		{"no slices", 0, ct.slice, Options{}, "at least one"},
		{"unknown filter", 1, ct.slice, Options{Filter: "cubic"}, `"cubic"`},
		{"unknown values", 1, ct.slice, Options{Values: "suv"}, `"suv"`},
		{"negative size", 1, ct.slice, Options{Size: -1}, "-1"},
		{"slice cannot be fetched", 3, fails, Options{Workers: 1}, "slice 0"},
		{"decoder panics", 3, func(context.Context, int) (volume.Slice, Rescale, error) { panic("index out of range") }, Options{}, "internal_error: a string in"},
		{"slice is short", 3, short, Options{Workers: 1}, "15 values"},
		{"no rescale", 3, flat, Options{Values: ValuesHU}, "Hounsfield"},
	} {
		_, _, err := Volume(t.Context(), c.n, c.get, c.opts)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error is %v, want one that says %q", c.name, err, c.says)
		}
		if strings.HasPrefix(c.name, "slice cannot") && !errors.Is(err, broken) {
			t.Errorf("%s: the cause is lost: %v", c.name, err)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Volume(cancelled, 3, ct.slice, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled context: error is %v", err)
	}
}

func TestConstantStudyIsBlack(t *testing.T) {
	flat := func(ctx context.Context, i int) (volume.Slice, Rescale, error) {
		return volume.Slice{Rows: 2, Columns: 3, Pix: []uint16{9, 9, 9, 9, 9, 9}}, Rescale{Slope: 1}, nil
	}
	for _, values := range []string{ValuesStored, ValuesHU} {
		v, _, err := Volume(t.Context(), 5, flat, Options{Values: values, Size: 4})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(v.Data, make([]byte, 64)) {
			t.Errorf("%s: %v", values, v.Data)
		}
	}
}

// BenchmarkVolume is a study of 300 decoded 512x512 slices, on one core.
func BenchmarkVolume(b *testing.B) {
	s := volume.Slice{Rows: 512, Columns: 512, Pix: make([]uint16, 512*512)}
	for i := range s.Pix {
		s.Pix[i] = uint16(i*7919) >> 4
	}
	get := func(ctx context.Context, i int) (volume.Slice, Rescale, error) {
		return s, Rescale{Slope: 1, Intercept: -1024}, nil
	}
	for _, filter := range []string{"linear", "area"} {
		for _, values := range []string{ValuesStored, ValuesHU} {
			b.Run(filter+" "+values, func(b *testing.B) {
				for b.Loop() {
					if _, _, err := Volume(b.Context(), 300, get, Options{Filter: filter, Values: values, Workers: 1}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
