package phantom

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/nifti"
)

// render returns all slices of a study.
func render(s *Study) (hu [][]int16, labels [][]uint8) {
	for z := range s.Slices() {
		h, l := s.Slice(z)
		hu, labels = append(hu, h), append(labels, l)
	}
	return hu, labels
}

func TestLevelsRunFromHeadToFoot(t *testing.T) {
	for index := range 3 {
		s := New(7, index, 160, 60)
		_, labels := render(s)
		var sum, count [vertebrae + 1]float64
		for z, plane := range labels {
			for _, l := range plane {
				sum[l] += float64(z)
				count[l]++
			}
		}
		above := -1.0
		for l := 1; l <= 8; l++ {
			if count[l] == 0 {
				t.Fatalf("study %d: level %d has no voxel", index, l)
			}
			volume := count[l] * s.pixelMM * s.pixelMM * s.sliceMM / 1000
			if l <= 7 && (volume < 5 || volume > 32) {
				t.Errorf("study %d: level %d has %.1f ml, want 5 to 32", index, l, volume)
			}
			if mean := sum[l] / count[l]; mean <= above {
				t.Errorf("study %d: level %d lies at slice %.1f, not below the one above (%.1f)", index, l, mean, above)
			} else {
				above = mean
			}
		}
	}
}

func TestTissuesHaveTheirDensities(t *testing.T) {
	s := New(3, 0, 256, 60)
	hu, labels := render(s)
	mean := func(p vec, radius int) float64 {
		z := int((s.corner.z-p.z)/s.sliceMM + 0.5)
		row, column := int((p.y-s.corner.y)/s.pixelMM+0.5), int((p.x-s.corner.x)/s.pixelMM+0.5)
		sum, n := 0.0, 0.0
		for r := row - radius; r <= row+radius; r++ {
			for c := column - radius; c <= column+radius; c++ {
				sum, n = sum+float64(hu[z][r*s.size+c]), n+1
			}
		}
		return sum / n
	}
	inNeck := func(level int, u, v float64) vec {
		c := s.spine.section(s.spine.frames[level].origin.z)
		x, y := c.world(u, v)
		return vec{x, y, c.z}
	}
	for _, p := range []struct {
		name   string
		at     vec
		lo, hi float64
	}{
		{"C4's body", s.spine.frames[c4].origin, 150, 700},
		{"C6's body", s.spine.frames[c6].origin, 150, 700},
		{"the cord at C5", inNeck(c5, 0, 15), -30, 90},
		{"the windpipe at C7", inNeck(c7, 0, -33), -1024, -850},
		{"the air beside the neck", inNeck(c4, 80, -40), -1024, -950},
	} {
		if got := mean(p.at, 1); got < p.lo || got > p.hi {
			t.Errorf("%s has %.0f HU, want %.0f to %.0f", p.name, got, p.lo, p.hi)
		}
	}
	bone, n := 0.0, 0.0
	for z, plane := range labels {
		for i, l := range plane {
			if l > 0 && l <= 7 {
				bone, n = bone+float64(hu[z][i]), n+1
			}
		}
	}
	if bone /= n; bone < 350 || bone > 900 {
		t.Errorf("masked voxels have %.0f HU on average, want 350 to 900", bone)
	}
}

func TestCanalIsNotMasked(t *testing.T) {
	s := New(11, 2, 192, 90)
	_, labels := render(s)
	for level := c3; level <= t1; level++ {
		b := s.bones[level].shape.(*typical)
		p := s.bones[level].frame.world(vec{y: b.canalY}.scale(s.bones[level].size))
		z := int((s.corner.z-p.z)/s.sliceMM + 0.5)
		row, column := int((p.y-s.corner.y)/s.pixelMM+0.5), int((p.x-s.corner.x)/s.pixelMM+0.5)
		if l := labels[z][row*s.size+column]; l != 0 {
			t.Errorf("the canal of level %d is labelled %d", level+1, l)
		}
	}
}

// files reads everything below a folder.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		all[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWorkersDoNotChangeTheFiles(t *testing.T) {
	one, four := t.TempDir(), t.TempDir()
	opts := Options{Studies: 3, Slices: 12, Masks: 1, Seed: 5, Size: 96, Workers: 1}
	if _, err := Write(context.Background(), one, opts); err != nil {
		t.Fatal(err)
	}
	opts.Workers = 4
	if _, err := Write(context.Background(), four, opts); err != nil {
		t.Fatal(err)
	}
	a, b := files(t, one), files(t, four)
	if len(a) != 3*12+1+1 || len(a) != len(b) {
		t.Fatalf("%d and %d files, want %d", len(a), len(b), 3*12+2)
	}
	for name, want := range a {
		if !bytes.Equal(b[name], want) {
			t.Errorf("%s differs", name)
		}
	}
}

func TestMaskLiesOnItsSlices(t *testing.T) {
	dir := t.TempDir()
	sum, err := Write(context.Background(), dir, Options{Slices: 20, Masks: 1, Seed: 9, Size: 96, Syntax: "explicit"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "segmentations", sum.StudyUIDs[0]+".nii"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	image, err := nifti.Read(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	toPatient := image.Affine.FlipLPS()
	s := New(9, 0, 96, 20)
	n := s.size
	for name, file := range files(t, filepath.Join(dir, "train_images", sum.StudyUIDs[0])) {
		head, err := dicom.ReadHeader(bytes.NewReader(file), int64(len(file)), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		z := head.InstanceNumber - s.format("explicit").first
		_, labels := s.Slice(z)
		for _, p := range [][2]int{{0, 0}, {10, 70}, {n - 1, n - 1}} {
			row, column := p[0], p[1]
			at := toPatient.Apply(float64(column), float64(n-1-row), float64(s.count-1-z))
			want := head.PositionMM
			want[0] += float64(column) * head.SpacingMM[1]
			want[1] += float64(row) * head.SpacingMM[0]
			for i := range at {
				if d := at[i] - want[i]; d > 1e-3 || d < -1e-3 {
					t.Fatalf("%s (%d, %d): the mask's affine says %v, the slice's header %v", name, row, column, at, want)
				}
			}
		}
		for i, l := range labels {
			if got := image.Data[((s.count-1-z)*n+n-1-i/n)*n+i%n]; got != l {
				t.Fatalf("%s: mask has %d at pixel %d, want %d", name, got, i, l)
			}
		}
	}
}

func TestStoredValuesAreHounsfieldUnits(t *testing.T) {
	for index := range 4 {
		s := New(2, index, 64, 10)
		hu, _ := s.Slice(6)
		f := s.format("explicit")
		file, err := s.encode(hu, 6, f)
		if err != nil {
			t.Fatal(err)
		}
		head, err := dicom.ReadHeader(bytes.NewReader(file), int64(len(file)), nil)
		if err != nil {
			t.Fatal(err)
		}
		value := file[head.Pixels.Offset:][:head.Pixels.Length]
		for i, want := range hu {
			word := binary.LittleEndian.Uint16(value[2*i:])
			got := float64(word)
			if f.signed {
				got = float64(int16(word))
			}
			got = got*head.Slope + head.Intercept
			if f.padding != 0 && got == paddingHU {
				continue
			}
			if got != float64(want) {
				t.Fatalf("study %d pixel %d: stored %v HU, rendered %d", index, i, got, want)
			}
		}
	}
}

func TestWritingAgainLeavesNothingStale(t *testing.T) {
	dir := t.TempDir()
	for _, opts := range []Options{
		{Slices: 9, Masks: 1, Seed: 4, Size: 64},
		{Slices: 6, Masks: 0, Seed: 4, Size: 64},
	} {
		if _, err := Write(context.Background(), dir, opts); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(files(t, dir)); n != 6+1 {
		t.Errorf("%d files, want 6 slices and train.csv", n)
	}
}

func TestWriteRefusesAnUnknownSyntax(t *testing.T) {
	_, err := Write(context.Background(), t.TempDir(), Options{Syntax: "jpeg"})
	if err == nil || !strings.Contains(err.Error(), "jpeg-lossless") {
		t.Errorf("got %v, want an error that names the choices", err)
	}
}

func BenchmarkStudy(b *testing.B) {
	dir := b.TempDir()
	for _, syntax := range []string{"explicit", "jpeg-lossless"} {
		b.Run(syntax, func(b *testing.B) {
			for b.Loop() {
				if _, err := Write(context.Background(), dir, Options{Slices: 60, Masks: 1, Syntax: syntax}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(60*b.N), "ms/slice")
		})
	}
}

func TestWideStudiesAreFunctionsOfSeedAndIndex(t *testing.T) {
	opts := Options{Studies: 6, Slices: 30, SlicesTo: 60, Masks: 6, Seed: 5, Size: 64, SizeTo: 128, Wide: true, Workers: 1}
	one, other := t.TempDir(), t.TempDir()
	sum, err := Write(context.Background(), one, opts)
	if err != nil {
		t.Fatal(err)
	}
	opts.Studies, opts.Masks, opts.Workers = 3, 3, 3
	if _, err := Write(context.Background(), other, opts); err != nil {
		t.Fatal(err)
	}
	all := files(t, one)
	for name, want := range files(t, other) {
		if name != "train.csv" && !bytes.Equal(all[name], want) {
			t.Errorf("%s depends on the number of workers or of studies", name)
		}
	}
	if n := len(all) - 6 - 1; n != sum.Slices {
		t.Errorf("%d slices are there, the summary says %d", n, sum.Slices)
	}
	slices, sizes := map[int]bool{}, map[int]bool{}
	for index := range 40 {
		s := opts.study(index)
		slices[s.count], sizes[s.size] = true, true
		if s.count < 30 || s.count > 60 || s.size < 64 || s.size > 128 {
			t.Errorf("study %d has %d slices of %d rows", index, s.count, s.size)
		}
	}
	if len(slices) < 15 || len(sizes) < 7 {
		t.Errorf("40 studies have %d numbers of slices, %d sizes", len(slices), len(sizes))
	}
}

func TestWideStudiesShowEveryLevelInOrder(t *testing.T) {
	missing, plain := 0, 0
	for index := range 20 {
		s := NewWide(1, index, 64, 48)
		if s.simple.on {
			plain++
		}
		var sum, count [vertebrae + 1]float64
		_, labels := render(s)
		for z, plane := range labels {
			for _, l := range plane {
				sum[l] += float64(z)
				count[l]++
			}
		}
		above := -1.0
		for l := 1; l <= 7; l++ {
			if count[l] == 0 {
				missing++
				continue
			}
			if mean := sum[l] / count[l]; mean <= above {
				t.Errorf("study %d: C%d does not lie below the one above", index, l)
			} else {
				above = mean
			}
		}
	}
	if missing > 2 {
		t.Errorf("%d of 140 vertebrae are not in the picture", missing)
	}
	if plain < 2 || plain > 12 {
		t.Errorf("%d of 20 studies are plain solids, want about 6", plain)
	}
}

func TestWideStoredValuesAreHounsfieldUnits(t *testing.T) {
	kinds := map[storing]bool{}
	for index := range 40 {
		s := NewWide(2, index, 64, 10)
		hu, _ := s.Slice(6)
		f := s.format("explicit")
		file, err := s.encode(hu, 6, f)
		if err != nil {
			t.Fatalf("study %d: %v", index, err)
		}
		head, err := dicom.ReadHeader(bytes.NewReader(file), int64(len(file)), nil)
		if err != nil {
			t.Fatal(err)
		}
		value := file[head.Pixels.Offset:][:head.Pixels.Length]
		outside := 0
		for i, want := range hu {
			word := binary.LittleEndian.Uint16(value[2*i:])
			got := float64(word)
			if f.signed {
				got = float64(int16(word))
			}
			got = got*head.Slope + head.Intercept
			if f.padding != 0 && got == float64(f.padding) {
				outside++
				continue
			}
			if got != float64(want) {
				t.Fatalf("study %d pixel %d: stored %v HU, rendered %d (%+v)", index, i, got, want, f.storing)
			}
		}
		if f.radius == 0 && outside > 0 {
			t.Errorf("study %d: padding without a circle", index)
		}
		kinds[storing{signed: f.signed, intercept: f.intercept, bits: f.bits}] = true
	}
	if len(kinds) < 6 {
		t.Errorf("40 studies are stored in %d ways", len(kinds))
	}
}
