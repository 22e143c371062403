// Package picture draws what a person must see to trust a study: its volume in three planes with the
// mask's outline, and the crops of its vertebrae.
//
// Every level must have the same colour wherever it is drawn, and colours must be told apart by people
// who see colours differently: the palette is that of Okabe and Ito (2008), "Color Universal Design".
package picture

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"strconv"

	xdraw "golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
)

// Palette is the colour of each level, C1 to C7.
var Palette = [volume.Levels]color.RGBA{
	{0xE6, 0x9F, 0x00, 0xFF}, {0x56, 0xB4, 0xE9, 0xFF}, {0x00, 0x9E, 0x73, 0xFF}, {0xF0, 0xE4, 0x42, 0xFF},
	{0x00, 0x72, 0xB2, 0xFF}, {0xD5, 0x5E, 0x00, 0xFF}, {0xCC, 0x79, 0xA7, 0xFF},
}

// Hex is a level's colour as pages and charts write it, such as #e69f00.
func Hex(level int) string {
	c := Palette[level]
	return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B)
}

const (
	gap    = 6  // pixels between tiles
	header = 18 // pixels of caption above a tile
)

// plane cuts a 2-D image out of an array: width and height, and the offset of the element at (x, y).
type plane struct {
	width, height int
	at            func(x, y int) int
}

// axial, sagittal and coronal planes of [rows, columns, slices], all drawn with the head up or, axially,
// the front up.
func axial(shape []int, k int) plane {
	return plane{shape[1], shape[0], func(x, y int) int { return (y*shape[1]+x)*shape[2] + k }}
}

func sagittal(shape []int, column int) plane {
	return plane{shape[0], shape[2], func(x, y int) int { return (x*shape[1]+column)*shape[2] + y }}
}

func coronal(shape []int, row int) plane {
	return plane{shape[1], shape[2], func(x, y int) int { return (row*shape[1]+x)*shape[2] + y }}
}

func (p plane) grey(data []uint8) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, p.width, p.height))
	for y := range p.height {
		for x := range p.width {
			img.Pix[y*img.Stride+x] = data[p.at(x, y)]
		}
	}
	return img
}

// Study draws a volume [rows, columns, slices] in sagittal, coronal and axial planes through its
// vertebrae. mask, [levels, rows, columns, slices] of probabilities, may be nil.
func Study(title string, vol, mask *npy.Array) (image.Image, error) {
	if err := check(vol, "volume", 3); err != nil {
		return nil, err
	}
	if mask != nil {
		if err := check(mask, "mask", 4); err != nil {
			return nil, err
		}
		for i, d := range vol.Shape {
			if mask.Shape[i+1] != d {
				return nil, fmt.Errorf("picture: mask of shape %v on a volume of shape %v", mask.Shape, vol.Shape)
			}
		}
	}
	centres := centroids(mask)
	middle := [3]int{vol.Shape[0] / 2, vol.Shape[1] / 2, vol.Shape[2] / 2}
	if c, ok := meanOf(centres); ok {
		middle = c
	}
	tiles := []tile{
		{"sagittal", sagittal(vol.Shape, middle[1]), 3},
		{"coronal", coronal(vol.Shape, middle[0]), 3},
	}
	for level, c := range centres {
		if c != nil {
			tiles = append(tiles, tile{volume.LevelName(level), axial(vol.Shape, c[2]), 2})
		}
	}
	if len(centres) == 0 {
		for i := 1; i <= 7; i++ {
			k := vol.Shape[2] * i / 8
			tiles = append(tiles, tile{"slice " + strconv.Itoa(k), axial(vol.Shape, k), 2})
		}
	}
	return montage(title, tiles, 4, func(p plane) image.Image { return outlined(p, vol.Data, mask) }), nil
}

// tile is one picture of a montage.
type tile struct {
	caption string
	plane   plane
	scale   int
}

// montage lays tiles out in rows of at most perRow, the first row for those of the greatest scale.
func montage(title string, tiles []tile, perRow int, drawn func(plane) image.Image) image.Image {
	type placed struct {
		tile
		at image.Point
	}
	var all []placed
	x, y, rowHeight, width, inRow := gap, header+gap, 0, 0, 0
	for i, t := range tiles {
		w, h := t.plane.width*t.scale, t.plane.height*t.scale
		if i > 0 && (inRow == perRow || t.scale != tiles[i-1].scale) {
			x, y, rowHeight, inRow = gap, y+rowHeight+header+gap, 0, 0
		}
		all = append(all, placed{t, image.Pt(x, y+header)})
		x += w + gap
		rowHeight, width = max(rowHeight, h), max(width, x)
		inRow++
	}
	canvas := image.NewRGBA(image.Rect(0, 0, width, y+rowHeight+header+gap))
	draw.Draw(canvas, canvas.Bounds(), image.NewUniform(color.RGBA{24, 24, 28, 255}), image.Point{}, draw.Src)
	label(canvas, title, gap, header-2, color.White)
	for _, p := range all {
		colour := color.Color(color.Gray{200})
		for level := range volume.Levels {
			if p.caption == volume.LevelName(level) {
				colour = Palette[level]
			}
		}
		label(canvas, p.caption, p.at.X, p.at.Y-4, colour)
		src := drawn(p.plane)
		to := image.Rect(0, 0, p.plane.width*p.scale, p.plane.height*p.scale).Add(p.at)
		if src.Bounds().Dx() == to.Dx() {
			draw.Draw(canvas, to, src, image.Point{}, draw.Src)
		} else {
			xdraw.BiLinear.Scale(canvas, to, src, src.Bounds(), draw.Src, nil)
		}
	}
	return canvas
}

// fine is how many times a plane is enlarged before outlines are drawn on it.
const fine = 3

// outlined draws a plane with the contour of each level's mask at one half.
func outlined(p plane, grey []uint8, mask *npy.Array) image.Image {
	size := image.Rect(0, 0, p.width*fine, p.height*fine)
	img := image.NewRGBA(size)
	xdraw.BiLinear.Scale(img, size, p.grey(grey), image.Rect(0, 0, p.width, p.height), draw.Src, nil)
	if mask == nil {
		return img
	}
	voxels := len(mask.Data) / mask.Shape[0]
	for level := range min(mask.Shape[0], volume.Levels) {
		contour(img, p.grey(mask.Data[level*voxels:(level+1)*voxels]), Palette[level])
	}
	return img
}

// contour colours the pixels of img where the enlarged mask crosses one half.
func contour(img *image.RGBA, mask *image.Gray, c color.RGBA) {
	any := false
	for _, v := range mask.Pix {
		any = any || v >= 128
	}
	if !any {
		return
	}
	big := image.NewGray(img.Bounds())
	xdraw.BiLinear.Scale(big, big.Bounds(), mask, mask.Bounds(), draw.Src, nil)
	inside := func(x, y int) bool { return big.GrayAt(x, y).Y >= 128 }
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			if inside(x, y) && !(inside(x-1, y) && inside(x+1, y) && inside(x, y-1) && inside(x, y+1)) {
				img.SetRGBA(x, y, c)
			}
		}
	}
}

// Crop draws a crop [positions, channels, rows, columns]: the middle slice of every position, with the
// outline of its mask, which is the last channel.
func Crop(title string, crop *npy.Array) (image.Image, error) {
	if err := check(crop, "crop", 4); err != nil {
		return nil, err
	}
	positions, channels, rows, columns := crop.Shape[0], crop.Shape[1], crop.Shape[2], crop.Shape[3]
	pixels := rows * columns
	var tiles []tile
	drawn := make(map[int]image.Image, positions)
	for i := range positions {
		of := func(channel int) *image.Gray {
			at := (i*channels + channel) * pixels
			return &image.Gray{Pix: crop.Data[at : at+pixels], Stride: columns, Rect: image.Rect(0, 0, columns, rows)}
		}
		img := image.NewRGBA(image.Rect(0, 0, columns, rows))
		draw.Draw(img, img.Bounds(), of((channels-1)/2), image.Point{}, draw.Src)
		contour(img, of(channels-1), Palette[1])
		drawn[i] = img
		tiles = append(tiles, tile{"position " + strconv.Itoa(i), plane{width: columns, height: rows, at: func(int, int) int { return i }}, 1})
	}
	return montage(title, tiles, 5, func(p plane) image.Image { return drawn[p.at(0, 0)] }), nil
}

func check(a *npy.Array, what string, dims int) error {
	if a.DType != npy.Uint8 || len(a.Shape) != dims || len(a.Data) == 0 {
		return fmt.Errorf("picture: %s is %s %v, expected %s with %d axes", what, a.DType, a.Shape, npy.Uint8, dims)
	}
	return nil
}

// centroids returns the centre (row, column, slice) of each level's mask, nil where there is none.
func centroids(mask *npy.Array) []*[3]int {
	if mask == nil {
		return nil
	}
	rows, columns, slices := mask.Shape[1], mask.Shape[2], mask.Shape[3]
	centres := make([]*[3]int, min(mask.Shape[0], volume.Levels))
	for level := range centres {
		data := mask.Data[level*rows*columns*slices:]
		var n int
		var sum [3]int
		for r := range rows {
			for c := range columns {
				line := data[(r*columns+c)*slices:][:slices]
				for k, v := range line {
					if v >= 128 {
						n++
						sum[0], sum[1], sum[2] = sum[0]+r, sum[1]+c, sum[2]+k
					}
				}
			}
		}
		if n > 0 {
			centres[level] = &[3]int{sum[0] / n, sum[1] / n, sum[2] / n}
		}
	}
	return centres
}

func meanOf(centres []*[3]int) (mean [3]int, ok bool) {
	n := 0
	for _, c := range centres {
		if c != nil {
			n++
			for i := range mean {
				mean[i] += c[i]
			}
		}
	}
	if n == 0 {
		return mean, false
	}
	for i := range mean {
		mean[i] /= n
	}
	return mean, true
}

func label(img draw.Image, text string, x, y int, c color.Color) {
	d := font.Drawer{Dst: img, Src: image.NewUniform(c), Face: basicfont.Face7x13, Dot: fixed.P(x, y)}
	d.DrawString(text)
}
