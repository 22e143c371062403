package segment

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/resample"
)

// synthetic is testdata/make_expected.py's label image, first index fastest, on an oblique grid.
func synthetic(nx, ny, nz int) *nifti.Image {
	im := &nifti.Image{Shape: []int{nx, ny, nz}, DType: nifti.Uint8, Data: make([]byte, nx*ny*nz)}
	// Turned by 20 degrees about x, then leaning like a gantry: no axis is the world's.
	sin, cos := math.Sincos(20 * math.Pi / 180)
	im.Affine = volume.Affine{{-0.4, 0, 0.1, 90}, {0, 0.4 * cos, -0.8 * sin, -70}, {0, 0.4 * sin, 0.8 * cos, 11}}
	for v := 8; v >= 1; v-- {
		cx, cy, cz := nx*(30+4*v)/100, ny*(70-3*v)/100, nz*(100-11*v)/100
		rx, ry, rz := nx/7, ny/9+v, nz/11
		for i := range im.Data {
			x, y, z := i%nx-cx, i/nx%ny-cy, i/nx/ny-cz
			if x*x*ry*ry*rz*rz+y*y*rx*rx*rz*rz+z*z*rx*rx*ry*ry < rx*rx*ry*ry*rz*rz {
				im.Data[i] = byte(v)
			}
		}
	}
	return im
}

// referencePlanes returns the 128 picked slices as the reference assumes them: rows along y reversed, columns along x,
// slices along z reversed.
func referencePlanes(im *nifti.Image, picks int) []SlicePlane {
	m := im.Affine.FlipLPS()
	ny, nz := im.Shape[1], im.Shape[2]
	var planes []SlicePlane
	for _, k := range resample.Pick(nz, picks) {
		var p volume.Affine
		origin := m.Apply(0, float64(ny-1), float64(nz-1-k))
		for i := range p {
			p[i] = [4]float64{-m[i][1], m[i][0], -m[i][2], origin[i]}
		}
		planes = append(planes, SlicePlane{p})
	}
	return planes
}

type expectation struct {
	Shape  [3]int
	SHA256 string
	Sums   [volume.Levels]int
}

func expectations(t *testing.T) (all []expectation) {
	t.Helper()
	b, err := os.ReadFile("testdata/expected.json")
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func check(t *testing.T, want expectation, im *nifti.Image, planes []SlicePlane, rows, columns int) {
	t.Helper()
	mask, cover, err := FromLabels(im, nil, planes, rows, columns)
	if err != nil {
		t.Fatal(err)
	}
	var sums [volume.Levels]int
	for i, v := range mask.Data {
		sums[i/(Size*Size*Size)] += int(v)
	}
	if digest := sha256.Sum256(mask.Data); hex.EncodeToString(digest[:]) != want.SHA256 {
		t.Errorf("mask differs from the reference's: sums %v, want %v", sums, want.Sums)
	}
	if cover.Inside != 1 || cover.Missing() != nil {
		t.Errorf("coverage is %+v", cover)
	}
}

func TestEqualsTheReferenceWhereItsOrientationHolds(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine alone: -short is for the race detector")
	}
	for _, want := range expectations(t) {
		t.Run(fmt.Sprint(want.Shape), func(t *testing.T) {
			im := synthetic(want.Shape[0], want.Shape[1], want.Shape[2])
			check(t, want, im, referencePlanes(im, Size), want.Shape[1], want.Shape[0])
		})
	}
}

// reordered returns the same image with its axes permuted and flipped: axis i of the result is axis p[i].
func reordered(im *nifti.Image, p [3]int, flip int) *nifti.Image {
	out := &nifti.Image{DType: nifti.Uint8, Data: make([]byte, len(im.Data)), Shape: []int{im.Shape[p[0]], im.Shape[p[1]], im.Shape[p[2]]}}
	strides := [3]int{1, im.Shape[0], im.Shape[0] * im.Shape[1]}
	for i := range im.Affine {
		out.Affine[i][3] = im.Affine[i][3]
		for k, axis := range p {
			out.Affine[i][k] = im.Affine[i][axis]
			if flip>>k&1 == 1 {
				out.Affine[i][3] += out.Affine[i][k] * float64(out.Shape[k]-1)
				out.Affine[i][k] = -out.Affine[i][k]
			}
		}
	}
	for i := range out.Data {
		index := [3]int{i % out.Shape[0], i / out.Shape[0] % out.Shape[1], i / out.Shape[0] / out.Shape[1]}
		from := 0
		for k, axis := range p {
			if flip>>k&1 == 1 {
				index[k] = out.Shape[k] - 1 - index[k]
			}
			from += index[k] * strides[axis]
		}
		out.Data[i] = im.Data[from]
	}
	return out
}

var permutations = [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}

func TestOrderOfAxesMakesNoDifference(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine alone: -short is for the race detector")
	}
	want := expectations(t)[3] // the smallest
	im := synthetic(want.Shape[0], want.Shape[1], want.Shape[2])
	planes := referencePlanes(im, Size)
	for _, p := range permutations {
		for flip := range 8 {
			check(t, want, reordered(im, p, flip), planes, want.Shape[1], want.Shape[0])
		}
	}
}

// samplePlainly is sample, one pixel after the other.
func samplePlainly(s *sampler, plane volume.Affine, rows, columns int) (pixels []uint8, inside int) {
	pixels = make([]uint8, rows*columns)
	for i := range pixels {
		w := plane.Apply(float64(i/columns), float64(i%columns), 0)
		at := s.toVoxel.Apply(w[0], w[1], w[2])
		index, ok := 0, true
		for k := 2; k >= 0; k-- {
			n := int(math.Floor(at[k] + 0.5))
			ok = ok && n >= 0 && n < s.shape[k]
			index = index*s.shape[k] + n
		}
		if ok {
			pixels[i] = s.labels[index]
			inside++
		}
	}
	return pixels, inside
}

func TestEveryPathReadsTheNearestVoxel(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine alone: -short is for the race detector")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	im := synthetic(40, 30, 20)
	for i := range im.Data {
		im.Data[i] = byte(rng.IntN(9))
	}
	s, err := newSampler(im)
	if err != nil {
		t.Fatal(err)
	}
	m := im.Affine.FlipLPS()
	onGrid := 0
	for range 400 {
		// A plane through the image, in whole or broken steps, partly outside.
		var a, b, o [3]float64
		axes := permutations[rng.IntN(6)]
		whole := rng.IntN(2) == 0
		a[axes[0]], b[axes[1]] = float64(1-2*rng.IntN(2)), float64(1-2*rng.IntN(2))
		for k := range o {
			o[k] = float64(rng.IntN(50) - 10)
			if !whole {
				a[k], b[k], o[k] = a[k]+rng.Float64()-0.5, b[k]+rng.Float64()-0.5, o[k]+rng.Float64()
			} else {
				o[k] += 0.3 * (rng.Float64() - 0.5)
			}
		}
		var plane volume.Affine
		for i := range plane {
			for k := range 3 {
				plane[i][0] += m[i][k] * a[k]
				plane[i][1] += m[i][k] * b[k]
				plane[i][3] += m[i][k] * o[k]
			}
			plane[i][3] += m[i][3]
		}
		const rows, columns = 35, 45
		want, wantInside := samplePlainly(s, plane, rows, columns)
		got := make([]uint8, rows*columns)
		inside := s.sample(got, plane, rows, columns)
		if inside != wantInside || !cmp.Equal(got, want) {
			t.Fatalf("steps %v %v from %v: %d pixels inside, want %d", a, b, o, inside, wantInside)
		}
		if _, ok := gridOf(s.step(plane), rows, columns); ok {
			onGrid++
		}
	}
	if onGrid < 100 {
		t.Errorf("only %d of 400 planes lay on the grid", onGrid)
	}
}

func TestCoverageTellsWhatIsMissing(t *testing.T) {
	im := synthetic(64, 64, 40)
	for i, v := range im.Data {
		if v == 3 {
			im.Data[i] = 0
		}
	}
	planes := referencePlanes(im, 32)
	mask, cover, err := FromLabels(im, nil, planes, 64, 64)
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(mask.Shape, []int{7, 128, 128, 32}) || cover.Inside != 1 || !cmp.Equal(cover.Missing(), []int{2}) {
		t.Errorf("mask %v, coverage %+v", mask.Shape, cover)
	}
	for i := range planes {
		planes[i].Affine[2][3] += 1000
	}
	if _, cover, err = FromLabels(im, nil, planes, 64, 64); err != nil || cover.Inside != 0 || len(cover.Missing()) != 7 {
		t.Errorf("a metre away: coverage %+v, %v", cover, err)
	}
}

func TestUnusableLabelImagesAreRefused(t *testing.T) {
	good := synthetic(20, 20, 20)
	planes := referencePlanes(good, 8)
	singular, fractions, series := *good, *good, *good
	singular.Affine[0] = singular.Affine[1]
	fractions.Slope, fractions.Inter = 0.5, 0.25
	series.Shape = []int{20, 20, 10, 2}
	for _, c := range []struct {
		im   *nifti.Image
		code refusal.Code
	}{{&singular, CodeGeometry}, {&fractions, CodeLabels}, {&series, CodeLabels}} {
		var refused *refusal.Error
		if _, _, err := FromLabels(c.im, nil, planes, 20, 20); !errors.As(err, &refused) || refused.Code != c.code {
			t.Errorf("error is %v, want %s", err, c.code)
		}
	}
}

func BenchmarkFromLabels(b *testing.B) {
	im := synthetic(512, 512, 200)
	planes := referencePlanes(im, Size)
	tilted := make([]SlicePlane, len(planes))
	for i, p := range planes {
		p.Affine[0][0] += 0.05
		tilted[i] = p
	}
	sagittal := reordered(im, [3]int{2, 1, 0}, 5)
	for _, c := range []struct {
		name   string
		im     *nifti.Image
		planes []SlicePlane
	}{{"grid", im, planes}, {"flipped", reordered(im, [3]int{0, 1, 2}, 1), planes}, {"sagittal", sagittal, planes}, {"oblique", im, tilted}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := FromLabels(c.im, nil, c.planes, 512, 512); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestLabelValuesAreParsed(t *testing.T) {
	for text, want := range map[string]LabelValues{
		"1,2,3,4,5,6,7": {1, 2, 3, 4, 5, 6, 7}, "33,32": {33, 32}, "0, 5": {0, 5}, "0,0,255": {0, 0, 255},
	} {
		got, err := ParseLabelValues(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if again, err := ParseLabelValues(got.String()); err != nil || !slices.Equal(again, want) {
			t.Errorf("%q is written as %q", text, got)
		}
	}
	for _, text := range []string{"", "C1", "1,1", "256", "-1", "1,,2", "1,2,3,4,5,6,7,8"} {
		if got, err := ParseLabelValues(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestLabelValuesStandForLevels(t *testing.T) {
	labels := []uint8{0, 1, 2, 32, 33, 255}
	for _, c := range []struct {
		values LabelValues
		want   []uint8
	}{
		{nil, labels},
		{LabelValues{33, 32}, []uint8{0, 0, 0, 2, 1, 0}},
		{LabelValues{0, 255, 2, 0, 0, 0, 1}, []uint8{0, 7, 3, 0, 0, 2}},
	} {
		if got := c.values.levels(labels); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
}
