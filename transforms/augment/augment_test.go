package augment

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
)

// sample makes smooth random intensities, with boxes of labels.
func sample(seed uint64, n [3]int) *Image {
	r := rand.New(rand.NewPCG(seed, 1))
	img := &Image{Shape: n, Volume: make([]uint8, n[0]*n[1]*n[2]), Labels: make([]uint8, n[0]*n[1]*n[2])}
	a, b, c := 1+r.Float64(), 1+r.Float64(), 1+r.Float64()
	for i := range n[0] {
		for j := range n[1] {
			for k := range n[2] {
				at := (i*n[1]+j)*n[2] + k
				wave := math.Sin(a*float64(i)/7) + math.Sin(b*float64(j)/6) + math.Sin(c*float64(k)/5)
				img.Volume[at] = uint8(max(0, min(255, 120+35*wave+10*r.Float64())))
				if i > n[0]/4 && i < 3*n[0]/4 && j > n[1]/4 && j < 3*n[1]/4 {
					img.Labels[at] = uint8(min(7, 1+7*k/n[2]))
				}
			}
		}
	}
	return img
}

func apply(t testing.TB, o Options, src *Image, seed uint64) *Image {
	t.Helper()
	dst := new(Image)
	if err := o.Apply(dst, src, seed); err != nil {
		t.Fatal(err)
	}
	return dst
}

// reversed returns an array with one axis turned round.
func reversed(b []uint8, n [3]int, axis int) []uint8 {
	out := make([]uint8, len(b))
	for i := range n[0] {
		for j := range n[1] {
			for k := range n[2] {
				p := [3]int{i, j, k}
				p[axis] = n[axis] - 1 - p[axis]
				out[(i*n[1]+j)*n[2]+k] = b[(p[0]*n[1]+p[1])*n[2]+p[2]]
			}
		}
	}
	return out
}

var odd = [3]int{24, 31, 20}

func TestNoOptionsChangeNothing(t *testing.T) {
	src := sample(1, odd)
	for name, o := range map[string]Options{
		"none":                {},
		"extent without P":    {Translate: 0.3, Grid: 0.1, RotateRows: 30, Zoom: 2, Noise: 0.5, Blur: 2, Rescale: 2, Crop: 0.5, LowSlices: 5},
		"P without extent":    {TranslateP: 1, GridP: 1, RotateP: 1, ZoomP: 1, NoiseP: 1, BlurP: 1, RescaleP: 1, CropP: 1, LowSlicesP: 1, ToneP: 1},
		"edge makes none":     {Edge: true},
		"factors of just one": {ZoomP: 1, Zoom: 1, ZoomAll: 1, RescaleP: 1, Rescale: 1, ToneP: 1, Contrast: 1, Gamma: 1},
	} {
		for seed := range uint64(5) {
			got := apply(t, o, src, seed)
			if !bytes.Equal(got.Volume, src.Volume) || !bytes.Equal(got.Labels, src.Labels) || got.Shape != src.Shape {
				t.Errorf("%s: the sample changed", name)
			}
		}
	}
}

func TestAFlipIsExactAndLevelsKeepTheirNumbers(t *testing.T) {
	src := sample(2, odd)
	for axis, o := range []Options{{FlipRows: 1}, {FlipColumns: 1}, {FlipSlices: 1}} {
		once := apply(t, o, src, 7)
		if !bytes.Equal(once.Volume, reversed(src.Volume, odd, axis)) || !bytes.Equal(once.Labels, reversed(src.Labels, odd, axis)) {
			t.Errorf("axis %d: not the sample turned round", axis)
		}
		twice := apply(t, o, once, 7)
		if !bytes.Equal(twice.Volume, src.Volume) || !bytes.Equal(twice.Labels, src.Labels) {
			t.Errorf("axis %d: flipped twice it is not what it was", axis)
		}
	}
}

func TestLeftAndRightDoNotSwapLevels(t *testing.T) {
	src := sample(3, odd)
	got := apply(t, Options{FlipColumns: 1}, src, 1)
	for k := range odd[2] {
		at := (12*odd[1]+15)*odd[2] + k // the middle column
		if got.Labels[at] != src.Labels[at] {
			t.Errorf("slice %d: level %d became %d", k, src.Labels[at], got.Labels[at])
		}
	}
}

func TestHalfOfTheSamplesAreFlipped(t *testing.T) {
	src := sample(4, [3]int{3, 4, 5})
	n := 0
	for seed := range uint64(1000) {
		if got := apply(t, Options{FlipColumns: 0.5}, src, Seed(9, int(seed), "1.2.3")); !bytes.Equal(got.Volume, src.Volume) {
			n++
		}
	}
	if n < 430 || n > 570 {
		t.Errorf("%d of 1,000 samples are flipped", n)
	}
}

func TestLabelsAreASubsetAndNothingIsMadeUp(t *testing.T) {
	src := sample(5, [3]int{32, 32, 32})
	o := Recommended()
	had := map[uint8]bool{}
	for _, v := range src.Labels {
		had[v] = true
	}
	for seed := range uint64(50) {
		for _, v := range apply(t, o, src, seed).Labels {
			if !had[v] {
				t.Fatalf("seed %d: label %d was not there", seed, v)
			}
		}
	}
}

func TestOutsideIsBackground(t *testing.T) {
	src := sample(6, odd)
	for i := range src.Volume {
		src.Volume[i], src.Labels[i] = 200, 3
	}
	moved := Options{TranslateP: 1, Translate: 0.4}
	got := apply(t, moved, src, 3)
	outside := 0
	for i, v := range got.Volume {
		if v == 0 {
			outside++
		}
		if (v == 0) != (got.Labels[i] == 0) || v != 0 && v != 200 {
			t.Fatalf("voxel %d has intensity %d, label %d", i, v, got.Labels[i])
		}
	}
	moved.Edge = true
	for _, v := range apply(t, moved, src, 3).Volume {
		if v != 200 {
			t.Fatal("the edge does not go on")
		}
	}
	if outside == 0 {
		t.Error("nothing lies outside")
	}
}

func TestEqualSeedsAreEqualOnAnyGoroutine(t *testing.T) {
	src := sample(7, odd)
	o := Recommended()
	o.NoiseP, o.BlurP, o.ToneP, o.LowSlices = 1, 1, 1, 6
	want := make([]*Image, 20)
	for i := range want {
		want[i] = apply(t, o, src, uint64(i))
	}
	var group sync.WaitGroup
	for i := range want {
		group.Go(func() {
			dst := &Image{Volume: slices.Repeat([]uint8{9}, len(src.Volume)+5)} // memory that was used
			if err := o.Apply(dst, src, uint64(i)); err != nil || !bytes.Equal(dst.Volume, want[i].Volume) || !bytes.Equal(dst.Labels, want[i].Labels) {
				t.Errorf("seed %d: another result, %v", i, err)
			}
		})
	}
	group.Wait()
	if bytes.Equal(want[0].Volume, want[1].Volume) {
		t.Error("two seeds give the same")
	}
}

func TestSwitchingOneOperationOnLeavesTheOthersDraws(t *testing.T) {
	src := sample(8, odd)
	plain := apply(t, Options{RotateP: 1, RotateSlices: 20}, src, 5)
	toned := apply(t, Options{RotateP: 1, RotateSlices: 20, NoiseP: 1, Noise: 0.1, RescaleP: 1, Rescale: 1.5}, src, 5)
	if !bytes.Equal(plain.Labels, toned.Labels) {
		t.Error("noise turned the image")
	}
}

func TestLowSlicesRepeatSlices(t *testing.T) {
	n := [3]int{2, 2, 128}
	axis := make([]float64, n[2])
	for i := range axis {
		axis[i] = float64(i)
	}
	thin(axis, 60)
	kinds := slices.Compact(slices.Clone(axis))
	if len(kinds) != 60 || axis[0] != 0 || axis[127] != 127 {
		t.Errorf("%d kinds of slices from %v to %v, want 60 from 0 to 127", len(kinds), axis[0], axis[127])
	}
}

func TestRotationsKeepAnglesInMillimetres(t *testing.T) {
	// A line along the columns, turned by 90 degrees about the slices, lies along the rows: 10 voxels of 2 mm become
	// 20 of 1 mm.
	n := [3]int{41, 41, 3}
	src := &Image{Shape: n, SpacingMM: [3]float64{1, 2, 1}, Volume: make([]uint8, 41*41*3), Labels: make([]uint8, 41*41*3)}
	for j := 15; j <= 25; j++ {
		for k := range 3 {
			src.Labels[(20*41+j)*3+k] = 2
		}
	}
	m := mapping{matrix: [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}}
	m.rotate(src.SpacingMM, [3]float64{0, 0, 90})
	for axis := range 3 {
		middle := float64(n[axis]-1) / 2
		m.shift[axis] = middle
		for j := range 3 {
			m.shift[axis] -= m.matrix[axis][j] * float64(n[j]-1) / 2
		}
		for i := range n[axis] {
			m.bend[axis] = append(m.bend[axis], float64(i))
		}
	}
	dst := &Image{Volume: make([]uint8, len(src.Volume)), Labels: make([]uint8, len(src.Labels))}
	new(work).resample(dst, src, m, false)
	rows := 0
	for i := range 41 {
		if dst.Labels[(i*41+20)*3+1] == 2 {
			rows++
		}
	}
	if rows < 20 || rows > 23 {
		t.Errorf("a line of 20 mm is %d mm long once turned", rows)
	}
}

func TestBadInputIsAnError(t *testing.T) {
	src := sample(9, odd)
	for name, img := range map[string]*Image{
		"volume": {Shape: odd, Volume: src.Volume[1:], Labels: src.Labels},
		"labels": {Shape: odd, Volume: src.Volume},
		"empty":  {},
		"huge":   {Shape: [3]int{1 << 20, 1 << 20, 1 << 20}},
	} {
		if err := (&Options{}).Apply(new(Image), img, 1); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, o := range []Options{{FlipRows: 2}, {Translate: -1}, {Grid: 1}, {Zoom: 0.5}, {RotateRows: 400}, {Blur: 100}, {NoiseP: math.NaN()}, {Gamma: math.Inf(1)}, {LowSlices: -1}} {
		if err := o.Apply(new(Image), src, 1); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	for _, o := range []Options{{}, Method(), Recommended()} {
		if err := o.Check(); err != nil {
			t.Error(err)
		}
	}
}

// TestResamplingIsSciPys compares with scipy.ndimage.map_coordinates; see testdata/make_resample.py.
func TestResamplingIsSciPys(t *testing.T) {
	text, err := os.ReadFile("testdata/resample.json")
	if err != nil {
		t.Fatal(err)
	}
	var stored struct {
		Shape          [3]int
		Volume, Labels []int
		Cases          []struct {
			Name           string
			Edge           bool
			Bend           [3][]float64
			Matrix         [3][3]float64
			Shift          [3]float64
			Volume, Labels []int
		}
	}
	if err := json.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	src := &Image{Shape: stored.Shape, Volume: bytesOf(stored.Volume), Labels: bytesOf(stored.Labels)}
	for _, c := range stored.Cases {
		dst := &Image{Volume: make([]uint8, len(src.Volume)), Labels: make([]uint8, len(src.Labels))}
		new(work).resample(dst, src, mapping{c.Bend, c.Matrix, c.Shift}, c.Edge)
		differ := 0
		for i, want := range c.Volume {
			got := int(dst.Volume[i])
			if got-want > 1 || want-got > 1 {
				t.Fatalf("%s: voxel %d is %d, scipy says %d", c.Name, i, got, want)
			}
			if got != want {
				differ++ // a half, rounded the other way
			}
		}
		if differ > len(c.Volume)/100 {
			t.Errorf("%s: %d of %d voxels differ by 1", c.Name, differ, len(c.Volume))
		}
		if !bytes.Equal(dst.Labels, bytesOf(c.Labels)) {
			t.Errorf("%s: the labels are not scipy's", c.Name)
		}
	}
}

// TestGridDistortionMovesTheCellsEnds holds to albumentations' definition, normalized=True: steps are drawn for the
// five cells of 25 and the rest of 3, and scaled so that they sum up to 128.
func TestGridDistortionMovesTheCellsEnds(t *testing.T) {
	const n = 128
	o := Options{Grid: 0.3}
	r, again := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(1, 2))
	axis := make([]float64, n)
	for i := range axis {
		axis[i] = float64(i)
	}
	distort(axis, o.GridCells, o.Grid, r)
	var steps [6]float64
	sum := 0.0
	for k := range steps {
		steps[k] = 1 + within(again, 0.3)
		sum += steps[k] * float64(min(25, n-25*k))
	}
	at := 0.0
	for k, step := range steps {
		step *= n / sum
		if math.Abs(axis[25*k]-at) > 1e-9 || math.Abs(axis[25*k+1]-axis[25*k]-step) > 1e-9 {
			t.Errorf("cell %d begins at %v and is stretched by %v, want %v and %v", k, axis[25*k], axis[25*k+1]-axis[25*k], at, step)
		}
		at += 25 * step
	}
	if end := axis[127] + axis[127] - axis[126]; math.Abs(end-n) > 1e-9 {
		t.Errorf("the axis ends at %v, want %d", end, n)
	}
}

func TestAnAxisNeverRunsBackwards(t *testing.T) {
	for _, n := range []int{1, 3, 5, 20, 24, 127, 128} {
		o := Options{GridP: 1, Grid: 0.99, LowSlicesP: 1, LowSlices: 2}
		for seed := range uint64(200) {
			for axis, list := range o.drawMap([3]int{n, n, n}, [3]float64{}, seed).bend {
				if !slices.IsSorted(list) || list[0] < 0 || list[n-1] > float64(n) {
					t.Fatalf("%d voxels, seed %d, axis %d: %v", n, seed, axis, list)
				}
			}
		}
	}
}

// TestBlurIsSciPys compares with scipy.ndimage.gaussian_filter1d, cut off at three deviations.
func TestBlurIsSciPys(t *testing.T) {
	text, err := os.ReadFile("testdata/blur.json")
	if err != nil {
		t.Fatal(err)
	}
	var stored struct {
		Shape  [3]int
		Volume []int
		Cases  []struct {
			Sigma  float64
			Volume []int
		}
	}
	if err := json.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	for _, c := range stored.Cases {
		got := bytesOf(stored.Volume)
		new(work).blur(got, stored.Shape, c.Sigma)
		for i, want := range c.Volume {
			if d := int(got[i]) - want; d < -2 || d > 2 { // it rounds after each axis
				t.Fatalf("deviation %v: voxel %d is %d, scipy says %d", c.Sigma, i, got[i], want)
			}
		}
	}
}

func TestNoiseHasItsDeviation(t *testing.T) {
	volume := slices.Repeat([]uint8{128}, 100_000)
	addNoise(volume, 10, 3)
	sum, square := 0.0, 0.0
	for _, v := range volume {
		d := float64(v) - 128
		sum, square = sum+d, square+d*d
	}
	mean, deviation := sum/1e5, math.Sqrt(square/1e5)
	if math.Abs(mean) > 0.15 || math.Abs(deviation-10) > 0.15 {
		t.Errorf("mean %.3f, deviation %.3f, want 0 and 10", mean, deviation)
	}
}

func bytesOf(list []int) []uint8 {
	out := make([]uint8, len(list))
	for i, v := range list {
		out[i] = uint8(v)
	}
	return out
}

func BenchmarkApply(b *testing.B) {
	src := sample(1, [3]int{128, 128, 128})
	affine := Options{TranslateP: 1, Translate: 0.05, GridP: 1, Grid: 0.05, RotateP: 1, RotateRows: 10, RotateColumns: 10, RotateSlices: 10, ZoomP: 1, Zoom: 1.1}
	for name, o := range map[string]Options{
		"method": Method(), "affine and grid": affine, "recommended": Recommended(),
		"noise": {NoiseP: 1, Noise: 0.1}, "blur": {BlurP: 1, Blur: 1}, "nothing": {},
	} {
		b.Run(name, func(b *testing.B) {
			var dst Image
			seed := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				seed++
				if err := o.Apply(&dst, src, seed); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/sample")
		})
	}
}

func ExampleSeed() {
	first := Seed(1, 0, "1.2.3")
	fmt.Println(first == Seed(1, 0, "1.2.3"), first == Seed(1, 1, "1.2.3"))
	// Output: true false
}
