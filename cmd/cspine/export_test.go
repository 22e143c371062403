package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/crop"
	"github.com/cspine/cspine/transforms/ingest"
)

func readImage(t *testing.T, file string) *nifti.Image {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	img, err := nifti.Read(bytes.NewReader(b), nil)
	if err != nil {
		t.Fatalf("%s: %v", filepath.Base(file), err)
	}
	return img
}

// centre returns the mean place in RAS of an image's voxels, by the weight of the i-th.
func centre(img *nifti.Image, weight func(i int, ras [3]float64) float64) (mean [3]float64) {
	var all float64
	for i := range img.Voxels() {
		ras := img.Affine.Apply(float64(i%img.Shape[0]), float64(i/img.Shape[0]%img.Shape[1]), float64(i/(img.Shape[0]*img.Shape[1])))
		w := weight(i, ras)
		all += w
		for k := range mean {
			mean[k] += w * ras[k]
		}
	}
	for k := range mean {
		mean[k] /= all // NaN where there is nothing: near to nothing
	}
	return mean
}

func mmBetween(a, b [3]float64) float64 {
	return math.Hypot(math.Hypot(a[0]-b[0], a[1]-b[1]), a[2]-b[2])
}

// ctFile is a slice as its file describes it.
type ctFile struct {
	name   string
	header *dicom.Header
}

func readSlices(t *testing.T, dir string) (files []ctFile) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.dcm"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		h, err := dicom.ReadHeader(bytes.NewReader(b), int64(len(b)), nil)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, ctFile{name, h})
	}
	return files
}

// plant puts a bright spot of 5x5 pixels into the slice that is nearest to a place in RAS, and returns where its middle lies, by the
// file's own header: ImagePositionPatient, ImageOrientationPatient and PixelSpacing (PS3.3, C.7.6.2.1.1).
func plant(t *testing.T, files []ctFile, ras [3]float64) [3]float64 {
	t.Helper()
	lps := [3]float64{-ras[0], -ras[1], ras[2]}
	best := files[0]
	for _, f := range files {
		if math.Abs(f.header.PositionMM[2]-lps[2]) < math.Abs(best.header.PositionMM[2]-lps[2]) {
			best = f
		}
	}
	h := best.header
	var along, down float64
	for k := range lps {
		along += (lps[k] - h.PositionMM[k]) * h.Orientation[k]
		down += (lps[k] - h.PositionMM[k]) * h.Orientation[3+k]
	}
	column, row := int(along/h.SpacingMM[1]), int(down/h.SpacingMM[0])
	file, err := os.ReadFile(best.name)
	if err != nil {
		t.Fatal(err)
	}
	for r := row - 2; r <= row+2; r++ {
		for c := column - 2; c <= column+2; c++ {
			at := h.Pixels.Offset + int64(2*(r*h.Pixels.Columns+c))
			binary.LittleEndian.PutUint16(file[at:], 4095)
		}
	}
	if err := os.WriteFile(best.name, file, 0o666); err != nil {
		t.Fatal(err)
	}
	var at [3]float64
	for k := range at {
		at[k] = h.PositionMM[k] + float64(column)*h.SpacingMM[1]*h.Orientation[k] + float64(row)*h.SpacingMM[0]*h.Orientation[3+k]
	}
	return [3]float64{-at[0], -at[1], at[2]}
}

func TestExportedImagesLieWhereTheDICOMSays(t *testing.T) {
	data, store, out := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "store"), filepath.Join(t.TempDir(), "out")
	do := func(args ...string) {
		t.Helper()
		if status, said := cspine(t, args...); status != exitOK {
			t.Fatalf("%v: status %d\n%s", args, status, said)
		}
	}
	do("phantom", "--out", data, "--studies", "1", "--slices", "48", "--masks", "1", "--size", "192", "--seed", "5", "--syntax", "explicit")
	masks, err := filepath.Glob(filepath.Join(data, "segmentations", "*.nii"))
	if err != nil || len(masks) != 1 {
		t.Fatalf("%v, %v", masks, err)
	}
	uid := strings.TrimSuffix(filepath.Base(masks[0]), ".nii")
	truth := readImage(t, masks[0])
	slices := readSlices(t, filepath.Join(data, "train_images", uid))
	apart := math.Abs(slices[1].header.PositionMM[2] - slices[0].header.PositionMM[2])
	for _, f := range slices[1:] {
		if d := math.Abs(f.header.PositionMM[2] - slices[0].header.PositionMM[2]); d > 0 {
			apart = min(apart, d)
		}
	}

	ofLabel := func(img *nifti.Image, level int) [3]float64 {
		return centre(img, func(i int, _ [3]float64) float64 { return map[bool]float64{true: 1}[int(img.Value(i)) == level] })
	}

	// What is bright is told by comparison with the study as it was: everything but the spots becomes darker, or stays.
	export := func(run string) string {
		out := filepath.Join(out, run)
		do("prepare", "--data", data, "--store", store, "--segmenter", "labels", "--run", run, "--json")
		do("export", "--store", store, "--run", run, "--format", "nifti", "--out", out)
		return filepath.Join(out, uid)
	}
	before := export("before")
	// Off the vertebrae's middles in each direction by another length, so that no axis can stand for another.
	spots, middles := map[int][3]float64{}, map[int][3]float64{}
	for level, off := range map[int][3]float64{2: {7, 4, 0}, 5: {-6, 9, 0}} {
		middles[level] = ofLabel(truth, level)
		spots[level] = plant(t, slices, [3]float64{middles[level][0] + off[0], middles[level][1] + off[1], middles[level][2] + off[2]})
	}
	after := export("after")
	ofSpot := func(name string, spot [3]float64) [3]float64 {
		was, is := readImage(t, before+name), readImage(t, after+name)
		return centre(is, func(i int, ras [3]float64) float64 {
			for _, other := range spots {
				if mmBetween(ras, other) < mmBetween(ras, spot) {
					return 0
				}
			}
			return max(0, is.Value(i)-was.Value(i)-20)
		})
	}
	near := func(what string, got, want [3]float64, inPlane float64) {
		t.Helper()
		t.Logf("%s: %.2f mm off", what, mmBetween(got, want))
		if d := math.Hypot(got[0]-want[0], got[1]-want[1]); !(d <= inPlane) {
			t.Errorf("%s: at %.2f, not %.2f: %.2f mm off in the plane, %.2f allowed", what, got, want, d, inPlane)
		}
		if d := math.Abs(got[2] - want[2]); !(d <= apart) {
			t.Errorf("%s: at %.2f, not %.2f: %.2f mm off along the slices, which are %.2f apart", what, got, want, d, apart)
		}
	}
	mask := readImage(t, after+"_mask.nii.gz")
	pixel, voxel := slices[0].header.SpacingMM[0], mask.Affine.SpacingMM()[0]
	for level, spot := range spots {
		name := fmt.Sprintf("_C%d", level)
		near("spot in the crop"+name, ofSpot(name+".nii.gz", spot), spot, pixel)
		near("spot in the volume"+name, ofSpot("_volume.nii.gz", spot), spot, voxel)
		near("mask"+name, ofLabel(mask, level), middles[level], voxel)
		patch := readImage(t, after+name+"_mask.nii.gz")
		near("mask of the crop"+name, centre(patch, func(i int, _ [3]float64) float64 { return patch.Value(i) }), middles[level], voxel)
	}
}

func TestCropAffinesFollowTheSlices(t *testing.T) {
	for _, c := range []struct {
		name        string
		orientation [6]float64
		along       [3]float64 // from slice to slice, towards the feet
		n           int
		slices      [2]int
		most        float64 // slices that a place may be off
	}{
		{"whole steps", [6]float64{1, 0, 0, 0, 1, 0}, [3]float64{0, 0, -1}, 128, [2]int{40, 69}, 1e-9},
		{"broken steps", [6]float64{1, 0, 0, 0, 1, 0}, [3]float64{0, 0, -1}, 300, [2]int{40, 62}, .5},
		{"few slices", [6]float64{1, 0, 0, 0, 1, 0}, [3]float64{0, 0, -2.5}, 40, [2]int{40, 62}, .5},
		{"one slice", [6]float64{1, 0, 0, 0, 1, 0}, [3]float64{0, 0, -2.5}, 20, [2]int{40, 46}, .5},
		{"turned in the plane", [6]float64{.8, .6, 0, -.6, .8, 0}, [3]float64{0, 0, -1}, 200, [2]int{10, 40}, .5},
		{"feet first, prone", [6]float64{-1, 0, 0, 0, -1, 0}, [3]float64{0, 0, -1}, 200, [2]int{10, 40}, .5},
		{"tilted gantry", [6]float64{1, 0, 0, 0, .96, -.28}, [3]float64{0, 0, -1}, 200, [2]int{10, 40}, .5},
	} {
		x := &ingest.Index{Rows: 384, Columns: 512, SpacingMM: [2]float64{.4, .3}, Orientation: c.orientation}
		for i := range c.n {
			k := float64(i)
			x.Slices = append(x.Slices, ingest.Slice{PositionMM: [3]float64{-70 + k*c.along[0], -60 + k*c.along[1], 900 + k*c.along[2]}})
		}
		box := crop.Box{Row: [2]int{30, 70}, Column: [2]int{50, 81}, Slice: c.slices}
		m, mask := cropAffines(box, x)
		for _, m := range []volume.Affine{m, mask} {
			if _, ok := m.Inverse(); !ok {
				t.Errorf("%s: the affine can't be inverted: %v", c.name, m)
			}
		}
		thick := math.Sqrt(c.along[0]*c.along[0] + c.along[1]*c.along[1] + c.along[2]*c.along[2])
		source := crop.SourceBox(box, x.Rows, x.Columns, c.n)
		for place, at := range crop.Positions(box, c.n) {
			slice := x.Affine(at.Slice)
			for _, pixel := range [][2]float64{{0, 0}, {223, 0}, {100, 223}} { // row, column
				// Centres of pixels: half a pixel from the edge that crop and slice share.
				row := float64(source[0]) + (pixel[0]+.5)*float64(source[1]-source[0])/crop.Size - .5
				column := float64(source[2]) + (pixel[1]+.5)*float64(source[3]-source[2])/crop.Size - .5
				lps := slice.Apply(row, column, 0)
				if off := mmBetween(m.Apply(pixel[1], pixel[0], float64(place)), [3]float64{-lps[0], -lps[1], lps[2]}) / thick; off > c.most+1e-9 {
					t.Errorf("%s: place %d is off by %g slices", c.name, place, off)
				}
				// The mask's planes are the grid's, whose slices run evenly from the study's first to its last, and whose cells are 3 rows and 4
				// columns of the study here.
				lps = x.Affine(0).Apply(3*(30+(pixel[0]+.5)*40/crop.Size)-.5, 4*(50+(pixel[1]+.5)*31/crop.Size)-.5, 0)
				step := float64(at.MaskSlice) * float64(c.n-1) / 127
				want := [3]float64{-lps[0] - step*c.along[0], -lps[1] - step*c.along[1], lps[2] + step*c.along[2]}
				if off := mmBetween(mask.Apply(pixel[1], pixel[0], float64(place)), want) / (thick * float64(c.n-1) / 127); off > .5+1e-9 {
					t.Errorf("%s: place %d of the mask is off by %g of the grid's slices", c.name, place, off)
				}
			}
		}
	}
}
