package picture

import (
	"image"
	"image/color"
	"testing"

	"github.com/cspine/cspine/internal/npy"
)

// block is a volume whose level 2 (C3) fills a box.
func block(lo, hi int) (vol, mask *npy.Array) {
	const n = 16
	vol, mask = npy.New(npy.Uint8, n, n, n), npy.New(npy.Uint8, 7, n, n, n)
	for r := lo; r < hi; r++ {
		for c := lo; c < hi; c++ {
			for k := lo; k < hi; k++ {
				vol.Data[(r*n+c)*n+k] = 200
				mask.Data[((2*n+r)*n+c)*n+k] = 255
			}
		}
	}
	return vol, mask
}

func count(img image.Image, c color.RGBA) (n int) {
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			if img.At(x, y) == c {
				n++
			}
		}
	}
	return n
}

func TestOnlyLevelsOfTheMaskAreOutlined(t *testing.T) {
	vol, mask := block(5, 11)
	img, err := Study("a study", vol, mask)
	if err != nil {
		t.Fatal(err)
	}
	for level, c := range Palette {
		n := count(img, c)
		if got, want := n > 0, level == 2; got != want {
			t.Errorf("level %d has %d pixels of its colour", level, n)
		}
	}
}

func TestOutlineIsHollow(t *testing.T) {
	vol, mask := block(4, 12)
	p := axial(vol.Shape, 8)
	img := outlined(p, vol.Data, mask)
	// 8 grid cells enlarged: a hollow square has about four sides' pixels, a full one their square.
	side := 8 * fine
	if n := count(img, Palette[2]); n < 3*side || n > 5*side {
		t.Errorf("%d outline pixels for a square of side %d", n, side)
	}
	if got := img.At(8*fine, 8*fine); got != (color.RGBA{200, 200, 200, 255}) {
		t.Errorf("the middle is %v, want the grey below", got)
	}
}

func TestPlanesShowTheRightAxes(t *testing.T) {
	shape := []int{2, 3, 4} // rows, columns, slices
	data := make([]uint8, 24)
	for i := range data {
		data[i] = uint8(i)
	}
	at := func(r, c, k int) uint8 { return data[(r*3+c)*4+k] }
	for _, c := range []struct {
		name          string
		p             plane
		width, height int
		x, y          int
		want          uint8
	}{
		{"axial", axial(shape, 2), 3, 2, 1, 0, at(0, 1, 2)},
		{"sagittal", sagittal(shape, 2), 2, 4, 1, 3, at(1, 2, 3)},
		{"coronal", coronal(shape, 1), 3, 4, 2, 1, at(1, 2, 1)},
	} {
		img := c.p.grey(data)
		if img.Bounds().Dx() != c.width || img.Bounds().Dy() != c.height || img.GrayAt(c.x, c.y).Y != c.want {
			t.Errorf("%s: %v, pixel %d, want %dx%d, %d", c.name, img.Bounds(), img.GrayAt(c.x, c.y).Y, c.width, c.height, c.want)
		}
	}
}

func TestRefusesOtherShapes(t *testing.T) {
	vol, mask := block(4, 12)
	if _, err := Study("", mask, nil); err == nil {
		t.Error("drew a mask as a volume")
	}
	if _, err := Study("", vol, npy.New(npy.Uint8, 7, 8, 8, 8)); err == nil {
		t.Error("drew a mask on a volume of another size")
	}
	if _, err := Crop("", vol); err == nil {
		t.Error("drew a volume as a crop")
	}
	if _, err := Crop("", npy.New(npy.Uint8, 15, 6, 8, 8)); err != nil {
		t.Error(err)
	}
}
