package view

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"net/http"
	"strconv"

	xdraw "golang.org/x/image/draw"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/picture"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/crop"
	"github.com/cspine/cspine/transforms/decode"
)

// Planes are the three ways to cut a volume. They are drawn with the head up, or, axially, with the front up.
const (
	axial    = "axial"
	sagittal = "sagittal"
	coronal  = "coronal"
)

// cut is a slice of an array [rows, columns, slices].
type cut struct {
	width, height int
	stepX, stepY  int
	first         int
}

// cutOf returns the at-th slice of a plane.
func cutOf(shape []int, plane string, at int) (cut, error) {
	rows, columns, slices := shape[0], shape[1], shape[2]
	var c cut
	n := 0
	switch plane {
	case axial:
		c, n = cut{width: columns, height: rows, stepX: slices, stepY: columns * slices, first: at}, slices
	case sagittal:
		c, n = cut{width: rows, height: slices, stepX: columns * slices, stepY: 1, first: at * slices}, columns
	case coronal:
		c, n = cut{width: columns, height: slices, stepX: slices, stepY: 1, first: at * columns * slices}, rows
	default:
		return c, wrong(fmt.Sprintf("there is no plane %q", plane), "planes are axial, sagittal and coronal")
	}
	if at < 0 || at >= n {
		return c, wrong(fmt.Sprintf("there is no %s slice %d", plane, at), fmt.Sprintf("slices go from 0 to %d", n-1))
	}
	return c, nil
}

func (c cut) grey(data []uint8) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, c.width, c.height))
	for y := range c.height {
		at := c.first + y*c.stepY
		for x := range c.width {
			img.Pix[y*img.Stride+x] = data[at]
			at += c.stepX
		}
	}
	return img
}

// number reads the number in an address.
func number(r *http.Request, name string) (int, error) {
	n, err := strconv.Atoi(r.PathValue(name))
	if err != nil {
		return 0, wrong("this is no number", "slices are counted from 0")
	}
	return n, nil
}

// slice answers with a slice of a volume. ?from= and ?to= are the grey values that become black and white.
func (s *Server) slice(w http.ResponseWriter, r *http.Request) error {
	at, err := number(r, "at")
	if err != nil {
		return err
	}
	vol, err := s.tensors.volume(r.Context(), r.PathValue("volume"))
	if err != nil {
		return err
	}
	c, err := cutOf(vol.Shape, r.PathValue("plane"), at)
	if err != nil {
		return err
	}
	img := c.grey(vol.Data)
	if from, to, ok := window(r); ok {
		var table [256]uint8
		for v := range table {
			table[v] = greyOf(float64(v), from, to)
		}
		for i, v := range img.Pix {
			img.Pix[i] = table[v]
		}
	}
	return writePNG(w, img)
}

// window reads what is to become black and white.
func window(r *http.Request) (from, to float64, ok bool) {
	from, err := strconv.ParseFloat(r.FormValue("from"), 64)
	if err != nil {
		return 0, 0, false
	}
	to, err = strconv.ParseFloat(r.FormValue("to"), 64)
	return from, to, err == nil && to > from
}

func greyOf(v, from, to float64) uint8 {
	return uint8(math.Round(255 * min(1, max(0, (v-from)/(to-from)))))
}

// maskSlice answers with the labels of a slice, each in its colour, and nothing elsewhere. ?level= shows one level alone, counted from 0.
func (s *Server) maskSlice(w http.ResponseWriter, r *http.Request) error {
	at, err := number(r, "at")
	if err != nil {
		return err
	}
	labels, err := s.tensors.labels(r.Context(), r.PathValue("mask"))
	if err != nil {
		return err
	}
	c, err := cutOf(labels.Shape, r.PathValue("plane"), at)
	if err != nil {
		return err
	}
	return writePNG(w, overlay(c.grey(labels.Data)))
}

const (
	fine    = 4    // times a mask is enlarged, so that its outline is smooth
	filling = 0x50 // how opaque a level is within its outline
)

// overlay draws labels as surfaces with an outline: a palette has nothing, and of each level both.
func overlay(labels *image.Gray) *image.Paletted {
	palette := color.Palette{color.NRGBA{}}
	for _, c := range picture.Palette {
		palette = append(palette, color.NRGBA{c.R, c.G, c.B, filling}, color.NRGBA{c.R, c.G, c.B, 0xFF})
	}
	size := image.Rect(0, 0, labels.Rect.Dx()*fine, labels.Rect.Dy()*fine)
	img := image.NewPaletted(size, palette)
	var has [volume.Levels + 1]bool
	for _, v := range labels.Pix {
		if int(v) < len(has) {
			has[v] = true
		}
	}
	small, big := image.NewGray(labels.Rect), image.NewGray(size)
	for level := 1; level <= volume.Levels; level++ {
		if !has[level] {
			continue
		}
		for i, v := range labels.Pix {
			small.Pix[i] = 0
			if int(v) == level {
				small.Pix[i] = 255
			}
		}
		xdraw.BiLinear.Scale(big, size, small, small.Rect, xdraw.Src, nil)
		paint(img, big, uint8(2*level-1))
	}
	return img
}

// paint fills where the enlarged mask is above one half with a colour, and its border, two pixels wide, with the next.
func paint(img *image.Paletted, mask *image.Gray, colour uint8) {
	w, h := mask.Rect.Dx(), mask.Rect.Dy()
	inside := func(x, y int) bool { return x >= 0 && y >= 0 && x < w && y < h && mask.Pix[y*mask.Stride+x] >= 128 }
	for y := range h {
		for x := range w {
			if !inside(x, y) {
				continue
			}
			c := colour
			if !inside(x-2, y) || !inside(x+2, y) || !inside(x, y-2) || !inside(x, y+2) {
				c++
			}
			img.Pix[y*img.Stride+x] = c
		}
	}
}

// fullSlice answers with a slice of the study itself, in HU from ?from= to ?to=.
func (s *Server) fullSlice(w http.ResponseWriter, r *http.Request) error {
	if s.options.Data == nil {
		return missing("the studies themselves are not at hand", "start 'cspine view' with --data")
	}
	at, err := number(r, "at")
	if err != nil {
		return err
	}
	index, err := readIndex(r.Context(), s.store, r.PathValue("index"))
	if err != nil {
		return err
	}
	if at < 0 || at >= len(index.Slices) {
		return wrong(fmt.Sprintf("there is no slice %d", at), fmt.Sprintf("slices go from 0 to %d", len(index.Slices)-1))
	}
	from, to, ok := window(r)
	if !ok {
		from, to = -1000, 2000
	}
	slice, err := decode.NewReader(s.options.Data, index).Slice(r.Context(), at)
	if err != nil {
		return &problemError{http.StatusNotFound, "the study's slice can't be read", "--data must name the data set that the run read, as it was then", err}
	}
	defer decode.Release(slice)
	img := image.NewGray(image.Rect(0, 0, slice.Columns, slice.Rows))
	of := index.Slices[at]
	var table [1 << 16]uint8
	for v := range table {
		table[v] = greyOf((float64(v)+float64(slice.Bias))*of.Slope+of.Intercept, from, to)
	}
	for i, v := range slice.Pix {
		img.Pix[i] = table[v]
	}
	return writePNG(w, img)
}

// stripEdge is how large a crop is in a strip of its places.
const stripEdge = 112

// cropStrip answers with all places of a crop beside each other, head to foot.
func (s *Server) cropStrip(w http.ResponseWriter, r *http.Request) error {
	a, err := s.tensors.crop(r.Context(), r.PathValue("crop"))
	if err != nil {
		return err
	}
	colour := levelColour(r)
	strip := image.NewRGBA(image.Rect(0, 0, a.Shape[0]*stripEdge, stripEdge))
	for place := range a.Shape[0] {
		img := drawPlace(a, place, r.FormValue("mask") != "no", colour, 3)
		xdraw.ApproxBiLinear.Scale(strip, image.Rect(place*stripEdge, 0, (place+1)*stripEdge, stripEdge), img, img.Bounds(), xdraw.Src, nil)
	}
	return writePNG(w, strip)
}

// cropPlace answers with one place of a crop.
func (s *Server) cropPlace(w http.ResponseWriter, r *http.Request) error {
	place, err := number(r, "place")
	if err != nil {
		return err
	}
	a, err := s.tensors.crop(r.Context(), r.PathValue("crop"))
	if err != nil {
		return err
	}
	if place < 0 || place >= a.Shape[0] {
		return wrong(fmt.Sprintf("there is no place %d", place), fmt.Sprintf("places go from 0 to %d", a.Shape[0]-1))
	}
	return writePNG(w, drawPlace(a, place, r.FormValue("mask") != "no", levelColour(r), 1))
}

// levelColour is the colour of ?level=, counted from 0.
func levelColour(r *http.Request) color.RGBA {
	level, err := strconv.Atoi(r.FormValue("level"))
	if err != nil || level < 0 || level >= volume.Levels {
		level = 1
	}
	return picture.Palette[level]
}

// drawPlace draws a crop's middle slice at a place, with the outline of its mask, so many pixels wide.
func drawPlace(a *npy.Array, place int, masked bool, colour color.RGBA, width int) *image.RGBA {
	rows, columns := a.Shape[2], a.Shape[3]
	plane := func(channel int) []uint8 { return a.Data[(place*crop.Channels+channel)*rows*columns:][:rows*columns] }
	img := image.NewRGBA(image.Rect(0, 0, columns, rows))
	for i, v := range plane(crop.Neighbours) {
		img.Pix[4*i], img.Pix[4*i+1], img.Pix[4*i+2], img.Pix[4*i+3] = v, v, v, 0xFF
	}
	if !masked {
		return img
	}
	mask := plane(crop.Channels - 1)
	inside := func(x, y int) bool { return x >= 0 && y >= 0 && x < columns && y < rows && mask[y*columns+x] >= 128 }
	for y := range rows {
		for x := range columns {
			if inside(x, y) && !(inside(x-width, y) && inside(x+width, y) && inside(x, y-width) && inside(x, y+width)) {
				img.SetRGBA(x, y, colour)
			}
		}
	}
	return img
}

// thumbnailEdge is the height of a thumbnail in pixels.
const thumbnailEdge = 144

// thumbnail answers with a volume's sagittal slice through its spine; ?mask= is the digest of what lies on it.
func (s *Server) thumbnail(w http.ResponseWriter, r *http.Request) error {
	vol, err := s.tensors.volume(r.Context(), r.PathValue("volume"))
	if err != nil {
		return err
	}
	at := vol.Shape[1] / 2
	var labels *npy.Array
	if mask := r.FormValue("mask"); mask != "" {
		if labels, err = s.tensors.labels(r.Context(), mask); err != nil {
			return err
		}
		if c, ok := middleOf(labels, 0); ok {
			at = c[1]
		}
	}
	c, err := cutOf(vol.Shape, sagittal, at)
	if err != nil {
		return err
	}
	size := image.Rect(0, 0, thumbnailEdge*c.width/c.height, thumbnailEdge)
	img := image.NewRGBA(size)
	grey := c.grey(vol.Data)
	xdraw.ApproxBiLinear.Scale(img, size, grey, grey.Rect, xdraw.Src, nil)
	if labels != nil {
		over := overlay(c.grey(labels.Data))
		xdraw.ApproxBiLinear.Scale(img, size, over, over.Rect, xdraw.Over, nil)
	}
	return writePNG(w, img)
}

// middleOf is the mean place (row, column, slice) of a label, from 1, or of all with 0.
func middleOf(labels *npy.Array, label uint8) (at [3]int, ok bool) {
	columns, slices := labels.Shape[1], labels.Shape[2]
	var n int
	var sum [3]int
	for i, v := range labels.Data {
		if v == 0 || label != 0 && v != label {
			continue
		}
		n++
		sum[0] += i / (columns * slices)
		sum[1] += i / slices % columns
		sum[2] += i % slices
	}
	if n == 0 {
		return at, false
	}
	return [3]int{sum[0] / n, sum[1] / n, sum[2] / n}, true
}

// writePNG answers with a picture, which its address names by content.
func writePNG(w http.ResponseWriter, img image.Image) error {
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed, BufferPool: pngBuffers}
	if err := encoder.Encode(&out, img); err != nil {
		return err
	}
	keep(w)
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Content-Length", strconv.Itoa(out.Len()))
	_, _ = w.Write(out.Bytes())
	return nil
}
