package augment

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// vertebra makes smooth slices with some noise, and a disc as the mask.
func vertebra(seed uint64, slices, edge int) []uint8 {
	r := rand.New(rand.NewPCG(seed, 2))
	out := make([]uint8, 0, slices*Planes*edge*edge)
	a, b := 1+r.Float64(), 1+r.Float64()
	for s := range slices {
		for plane := range Planes {
			for i := range edge {
				for j := range edge {
					v := 120 + 50*math.Sin(a*float64(i)/7+float64(s)) + 40*math.Sin(b*float64(j)/6+float64(plane)) + 30*r.Float64()
					if plane == Planes-1 {
						v = 0
						if math.Hypot(float64(i)-float64(edge)/2, float64(j)-float64(edge)/2.5) < float64(edge)/3 {
							v = 200 + 50*r.Float64()
						}
					}
					out = append(out, uint8(max(0, min(255, v))))
				}
			}
		}
	}
	return out
}

func change(t testing.TB, o Slices, src []uint8, edge int, seed uint64) []uint8 {
	t.Helper()
	dst, err := o.Apply(nil, src, edge, seed)
	if err != nil {
		t.Fatal(err)
	}
	return dst
}

// planeOf is one plane of one slice.
func planeOf(crop []uint8, edge, slice, plane int) []uint8 {
	n := edge * edge
	return crop[(slice*Planes+plane)*n:][:n]
}

// mirroredPlane turns a plane's rows or columns round.
func mirroredPlane(plane []uint8, edge int, rows bool) []uint8 {
	out := make([]uint8, len(plane))
	for i := range edge {
		for j := range edge {
			from := i*edge + edge - 1 - j
			if rows {
				from = (edge-1-i)*edge + j
			}
			out[i*edge+j] = plane[from]
		}
	}
	return out
}

// references are what testdata/make_slices.py wrote.
type references struct {
	Edge  int
	Plane []int
	Maps  []struct {
		Name                             string
		FlipRows, FlipColumns, Transpose bool
		Angle, Scale                     float64
		Shift                            [2]float64
		Optical                          float64
		Bends                            [][]float64
		Plane                            []int
	}
	Motions []struct {
		Kernel [9]int
		Plane  []int
	}
	Median, Binomial []int
	Tones            []struct {
		Add, Contrast, Gamma float64
		Table                []int
	}
}

func readReferences(t testing.TB) references {
	t.Helper()
	file, err := os.ReadFile("testdata/slices.json")
	if err != nil {
		t.Fatal(err)
	}
	var r references
	if err := json.Unmarshal(file, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestMapsAreAlbumentations compares with numpy's and scipy's results for its formulas. A coordinate that lies half-way between two parts of a
// pixel may be rounded to either: a level up or down.
func TestMapsAreAlbumentations(t *testing.T) {
	r := readReferences(t)
	n := r.Edge * r.Edge
	slice := make([]uint8, 0, Planes*n)
	for range Planes {
		slice = append(slice, bytesOf(r.Plane)...)
	}
	for _, c := range r.Maps {
		w := sliceWork{tones: straight}
		m := move{flipRows: c.FlipRows, flipColumns: c.FlipColumns, transpose: c.Transpose, angle: c.Angle, scale: c.Scale, shift: c.Shift, optical: c.Optical}
		if c.Bends != nil {
			m.bends = [2][]float64(c.Bends)
		}
		w.follow(m, r.Edge)
		dst := make([]uint8, len(slice))
		w.resample(dst, slice, r.Edge)
		want := bytesOf(c.Plane)
		for plane := range Planes {
			differ := 0
			for i, v := range dst[plane*n:][:n] {
				if v != want[i] {
					differ++
					if abs(int(v)-int(want[i])) > 1 {
						t.Fatalf("%s, plane %d, pixel %d: %d, want %d", c.Name, plane, i, v, want[i])
					}
				}
			}
			if differ > n/100 {
				t.Errorf("%s, plane %d: %d of %d pixels differ by 1", c.Name, plane, differ, n)
			}
		}
	}
}

func TestMotionIsAMeanAlongEachOfOpenCVsLines(t *testing.T) {
	r := readReferences(t)
	likely := map[[9]int]int{}
	for _, l := range lines {
		var kernel [9]int
		for _, p := range l {
			kernel[3*p[0]+p[1]] = 1
		}
		likely[kernel]++
	}
	if len(lines) != 81 || len(likely) != len(r.Motions) {
		t.Fatalf("%d lines, %d different, want 81, %d", len(lines), len(likely), len(r.Motions))
	}
	for _, m := range r.Motions {
		var of line
		upright := true
		for i, v := range m.Kernel {
			if v == 1 {
				of = append(of, [2]int{i / 3, i % 3})
				upright = upright && i%3 == of[0][1]
			}
		}
		want := 2
		if upright {
			want = 3
		}
		if likely[m.Kernel] != want {
			t.Errorf("the line %v is likely %d times of 81, want %d", m.Kernel, likely[m.Kernel], want)
		}
		plane, w := bytesOf(r.Plane), new(sliceWork)
		if w.motion(plane, r.Edge, of); !bytes.Equal(plane, bytesOf(m.Plane)) {
			t.Errorf("along %v it is not what scipy's correlation makes", m.Kernel)
		}
	}
}

func TestMedianAndBinomialAreOpenCVs(t *testing.T) {
	r := readReferences(t)
	w := new(sliceWork)
	median, binomial := bytesOf(r.Plane), bytesOf(r.Plane)
	if w.median(median, r.Edge); !bytes.Equal(median, bytesOf(r.Median)) {
		t.Error("the median is not cv2.medianBlur's")
	}
	if w.binomial(binomial, r.Edge); !bytes.Equal(binomial, bytesOf(r.Binomial)) {
		t.Error("the binomial is not cv2.GaussianBlur's")
	}
}

func TestTonesAreNumpys(t *testing.T) {
	for _, c := range readReferences(t).Tones {
		var table [256]uint8
		if toneTable(&table, c.Add, c.Contrast, c.Gamma); !bytes.Equal(table[:], bytesOf(c.Table)) {
			t.Errorf("%+v: %v", c, table)
		}
	}
}

func TestNoiseHasItsDeviationAndNoMean(t *testing.T) {
	for _, deviation := range []float64{0.5, 1.7, 3, 8} {
		values := bytes.Repeat([]byte{128}, 1<<18+3)
		grain(values, deviation, 7)
		sum, square := 0.0, 0.0
		for _, v := range values {
			d := float64(v) - 128
			sum, square = sum+d, square+d*d
		}
		n := float64(len(values))
		// Rounding adds a twelfth to the variance. Four deviations of the two estimates.
		want := deviation*deviation + 1.0/12
		if math.Abs(sum/n) > 4*math.Sqrt(want/n) || math.Abs(square/n/want-1) > 4*math.Sqrt(2/n)+0.01 {
			t.Errorf("deviation %v: mean %v, variance %v, want 0, %v", deviation, sum/n, square/n, want)
		}
	}
}

func TestNoSliceOptionsChangeNothing(t *testing.T) {
	src := vertebra(1, 3, 19)
	for name, o := range map[string]Slices{
		"none":                {},
		"extent without P":    {Shift: 0.3, Scale: 0.3, Rotate: 30, Optical: 1, Grid: 0.5, Brightness: 0.5, Contrast: 2, Gamma: 2, Noise: 1, NoiseTo: 0.1, Cutout: 0.5},
		"P without extent":    {MoveP: 1, DistortP: 1, ToneP: 1, SpoilP: 1, CutoutP: 1},
		"each":                {MoveEach: true, ToneEach: true, SpoilEach: true},
		"noise of nothing":    {SpoilP: 1, Noise: 1},
		"factors of just one": {ToneP: 1, Contrast: 1, Gamma: 1},
	} {
		for seed := range uint64(5) {
			if !bytes.Equal(change(t, o, src, 19, seed), src) {
				t.Errorf("%s: the slices changed", name)
			}
		}
	}
}

func TestFlipsOfSlicesAreExactAndUndoThemselves(t *testing.T) {
	const edge = 21
	src := vertebra(2, 4, edge)
	for _, o := range []Slices{{FlipRows: 1}, {FlipColumns: 1}, {Transpose: 1}, {FlipRows: 1, FlipColumns: 1}} {
		once := change(t, o, src, edge, 3)
		if bytes.Equal(once, src) || !bytes.Equal(change(t, o, once, edge, 4), src) {
			t.Errorf("%+v: done twice it is not what it was", o)
		}
		for s := range 4 {
			for plane := range Planes {
				was, is := planeOf(src, edge, s, plane), planeOf(once, edge, s, plane)
				want := was
				if o.FlipRows == 1 {
					want = mirroredPlane(want, edge, true)
				}
				if o.FlipColumns == 1 {
					want = mirroredPlane(want, edge, false)
				}
				if o.Transpose == 0 && !bytes.Equal(is, want) {
					t.Errorf("%+v: slice %d, plane %d is not the plane turned round", o, s, plane)
				}
			}
		}
	}
}

func TestTheMaskMovesWithTheImageAndKeepsItsValues(t *testing.T) {
	const edge = 32
	src := vertebra(3, 15, edge)
	for s := range 15 { // all planes are the mask
		for plane := range Planes - 1 {
			copy(planeOf(src, edge, s, plane), planeOf(src, edge, s, Planes-1))
		}
	}
	moved := MethodSlices()
	moved.ToneP, moved.SpoilP = 0, 0
	all := MethodSlices()
	for seed := range uint64(10) {
		moves, everything := change(t, moved, src, edge, seed), change(t, all, src, edge, seed)
		for s := range 15 {
			mask := planeOf(moves, edge, s, Planes-1)
			for plane := range Planes - 1 {
				if !bytes.Equal(planeOf(moves, edge, s, plane), mask) {
					t.Fatalf("seed %d: plane %d moved another way than the mask", seed, plane)
				}
			}
			if !bytes.Equal(planeOf(everything, edge, s, Planes-1), mask) {
				t.Fatalf("seed %d: tone, blur or noise changed the mask", seed)
			}
		}
	}
}

func TestSlicesShareADrawUnlessEachHasItsOwn(t *testing.T) {
	const edge = 24
	src := vertebra(4, 1, edge)
	src = bytes.Repeat(src, 15)
	shared := RecommendedSlices()
	shared.ToneEach, shared.SpoilP = false, 0
	spoiled := Slices{SpoilP: 1, Motion: 1}
	for seed := range uint64(6) {
		for _, o := range []Slices{shared, spoiled} {
			got := change(t, o, src, edge, seed)
			if !bytes.Equal(got, bytes.Repeat(got[:len(got)/15], 15)) {
				t.Errorf("seed %d, %+v: equal slices became different", seed, o)
			}
		}
		for _, o := range []Slices{{MoveP: 1, Shift: 0.1, MoveEach: true}, {ToneP: 1, Brightness: 0.2, ToneEach: true}, {SpoilP: 1, Motion: 1, SpoilEach: true},
			{SpoilP: 1, Noise: 1, NoiseTo: 0.02}, {CutoutP: 1, Cutout: 0.5, MoveEach: true}} {
			got := change(t, o, src, edge, seed)
			if bytes.Equal(got, bytes.Repeat(got[:len(got)/15], 15)) {
				t.Errorf("seed %d, %+v: all slices drew the same", seed, o)
			}
		}
	}
}

func TestAHoleIsZeroAndHalfASlice(t *testing.T) {
	const edge = 40
	src := bytes.Repeat([]byte{200}, Planes*edge*edge)
	whole := 0
	for seed := range uint64(200) {
		got := change(t, Slices{CutoutP: 1, Cutout: 0.5}, src, edge, seed)
		for plane := range Planes {
			if !bytes.Equal(planeOf(got, edge, 0, plane), got[:edge*edge]) {
				t.Fatal("the hole is not the same in all planes")
			}
		}
		rows, columns := map[int]bool{}, map[int]bool{}
		zeros := 0
		for i, v := range got[:edge*edge] {
			if v == 0 {
				rows[i/edge], columns[i%edge] = true, true
				zeros++
			}
		}
		if zeros != len(rows)*len(columns) || len(rows) > edge/2 || len(columns) > edge/2 {
			t.Fatalf("%d pixels in %d rows and %d columns are no hole", zeros, len(rows), len(columns))
		}
		if zeros == edge*edge/4 {
			whole++
		}
	}
	// Its middle is uniform from 0 to edge, and only what passes the far end is cut off: it begins at most edge/2 in 31 of 41 draws, twice.
	if share := float64(whole) / 200; math.Abs(share-31.0*31/41/41) > 0.14 {
		t.Errorf("%v of the holes are whole", share)
	}
}

func TestShuffledSlicesAreTheSameOnes(t *testing.T) {
	const edge, size = 6, Planes * 6 * 6
	src := vertebra(5, 15, edge)
	moved := 0
	for seed := range uint64(400) {
		got := change(t, Slices{ShuffleSlices: 0.2}, src, edge, seed)
		if !bytes.Equal(got, src) {
			moved++
		}
		sortSlices := func(crop []uint8) [][]byte {
			return slices.SortedFunc(slices.Chunk(slices.Clone(crop), size), bytes.Compare)
		}
		if !slices.EqualFunc(sortSlices(src), sortSlices(got), bytes.Equal) {
			t.Fatal("a slice is gone")
		}
	}
	if moved < 48 || moved > 112 { // 80 ± 4 deviations
		t.Errorf("%d of 400 vertebrae were shuffled", moved)
	}
}

// TestASliceIsChangedTheSameWayWhereverItComes: options that draw for each slice go with the slice.
func TestASliceIsChangedTheSameWayWhereverItComes(t *testing.T) {
	const edge, size = 16, Planes * 16 * 16
	src := vertebra(6, 15, edge)
	o := MethodSlices()
	o.ShuffleSlices = 0
	straight := change(t, o, src, edge, 9)
	o.ShuffleSlices = 1
	shuffled := change(t, o, src, edge, 9)
	for k, from := range o.order(15, 9) {
		if !bytes.Equal(shuffled[k*size:][:size], straight[from*size:][:size]) {
			t.Errorf("slice %d in place %d changed another way", from, k)
		}
	}
}

func TestBonesAreAPermutationAndTheLastOneStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		found := rapid.SliceOfN(rapid.Bool(), 7, 7).Draw(t, "found")
		o := Slices{ShuffleBones: rapid.Float64Range(0, 1).Draw(t, "shuffle"), DropBone: rapid.Float64Range(0, 1).Draw(t, "drop")}
		order, dropped := o.Bones(found, rapid.Uint64().Draw(t, "seed"))
		if !slices.Equal(slices.Sorted(slices.Values(order)), inOrder(7)) {
			t.Fatalf("%v is no permutation", order)
		}
		n := 0
		for _, ok := range found {
			if ok {
				n++
			}
		}
		if dropped >= 0 && (!found[dropped] || n < 2) {
			t.Fatalf("%d of %v was dropped", dropped, found)
		}
	})
	shuffled, dropped := 0, 0
	for seed := range uint64(1000) {
		order, gone := (&Slices{ShuffleBones: 0.2, DropBone: 0.1}).Bones([]bool{true, true, true, false, true, true, true}, seed)
		if !slices.IsSorted(order) {
			shuffled++
		}
		if gone >= 0 {
			dropped++
		}
	}
	if shuffled < 150 || shuffled > 250 || dropped < 62 || dropped > 138 { // ± 4 deviations
		t.Errorf("of 1,000 patients %d were shuffled, %d lost a vertebra", shuffled, dropped)
	}
}

func TestSlicesDependOnOptionsSampleAndSeedAlone(t *testing.T) {
	const edge = 28
	src := vertebra(7, 15, edge)
	for _, o := range []Slices{MethodSlices(), RecommendedSlices()} {
		before := bytes.Clone(src)
		var want [8][]uint8
		for seed := range want {
			want[seed] = change(t, o, src, edge, uint64(seed))
		}
		if bytes.Equal(want[0], want[1]) {
			t.Error("two seeds give the same")
		}
		var running sync.WaitGroup
		for g := range 4 {
			running.Go(func() {
				dirty := bytes.Repeat([]byte{byte(g)}, len(src)+100)
				for k := range want {
					seed := (k + g) % len(want)
					got, err := o.Apply(dirty, src, edge, uint64(seed))
					if err != nil || !bytes.Equal(got, want[seed]) {
						t.Errorf("seed %d: another result, %v", seed, err)
					}
				}
			})
		}
		running.Wait()
		if !bytes.Equal(before, src) {
			t.Error("the sample itself changed")
		}
	}
}

// TestSwitchingAnOperationOnLeavesTheOthersDrawsAlone: each has a stream of its own.
func TestSwitchingAnOperationOnLeavesTheOthersDrawsAlone(t *testing.T) {
	const edge = 24
	src := vertebra(8, 2, edge)
	mask := func(o Slices) []uint8 { return planeOf(change(t, o, src, edge, 5), edge, 1, Planes-1) }
	o := Slices{MoveP: 1, Shift: 0.2, Rotate: 20, Scale: 0.1}
	want := mask(o)
	o.ToneP, o.Brightness, o.SpoilP, o.Motion, o.Noise, o.NoiseTo, o.ShuffleBones = 1, 0.1, 1, 1, 1, 0.05, 1
	if !bytes.Equal(want, mask(o)) {
		t.Error("tone, blur or noise changed how the mask moves")
	}
}

// TestHostileSliceOptionsAreRefusedOrDone puts extreme values into each option.
func TestHostileSliceOptionsAreRefusedOrDone(t *testing.T) {
	const edge = 9
	src := vertebra(9, 2, edge)
	values := []float64{0, 1e-300, 0.5, 0.9, 1, 1 + 1e-15, 2, 100, 180, 1e6, 1e300, -1, math.NaN(), math.Inf(1), math.Inf(-1)}
	on := MethodSlices()
	on.MoveP, on.DistortP, on.ToneP, on.SpoilP, on.CutoutP = 1, 1, 1, 1, 1
	for field := range reflect.TypeFor[Slices]().NumField() {
		for _, v := range values {
			o := on
			switch f := reflect.ValueOf(&o).Elem().Field(field); f.Kind() {
			case reflect.Float64:
				f.SetFloat(v)
			case reflect.Int:
				if math.Abs(v) <= 1e6 {
					f.SetInt(int64(v))
				}
			}
			for seed := range uint64(3) {
				got, err := o.Apply(nil, src, edge, seed)
				if refused := o.Check(); (err == nil) != (refused == nil) || err == nil && len(got) != len(src) {
					t.Errorf("%s = %v: %v, %v", reflect.TypeFor[Slices]().Field(field).Name, v, refused, err)
				}
				if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 || v > 1e6 {
					if k := reflect.TypeFor[Slices]().Field(field).Type.Kind(); k == reflect.Float64 && err == nil {
						t.Errorf("%s = %v is let through", reflect.TypeFor[Slices]().Field(field).Name, v)
					}
				}
			}
		}
	}
	for _, c := range []struct{ bytes, edge int }{{Planes * 81, 8}, {Planes * 81, 0}, {Planes * 81, -9}, {Planes, 1}, {Planes*81 - 1, 9}, {Planes * 257 * 257, 257}} {
		if _, err := on.Apply(nil, make([]uint8, c.bytes), c.edge, 1); err == nil {
			t.Errorf("%d bytes are slices of %d x %d", c.bytes, c.edge, c.edge)
		}
	}
	for _, edge := range []int{2, 3, 255, 256} {
		if _, err := on.Apply(nil, make([]uint8, Planes*edge*edge), edge, 1); err != nil {
			t.Error(err)
		}
	}
}
