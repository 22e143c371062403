package nifti

import (
	"encoding/binary"
	"errors"
	"io"
	"math"

	"github.com/cspine/cspine/internal/volume"
)

const (
	header1Size = 348
	header2Size = 540
	// extender is the four bytes after either header that say whether extensions follow.
	extender = 4
	magic1   = "n+1\x00"
	magic1h  = "ni1\x00"
	magic2   = "n+2\x00\r\n\x1a\n"
	magic2h  = "ni2\x00\r\n\x1a\n"
)

// header is what both versions say, widened to version 2's types.
type header struct {
	version      int
	order        binary.ByteOrder
	dim          [8]int64
	datatype     int16
	pixdim       [8]float64
	slope, inter float64
	qform, sform int
	quatern      [3]float64
	qoffset      [3]float64
	srow         volume.Affine
	// extensions is the bytes between the extender and the first voxel.
	extensions int64
}

// readHeader reads the header and the extender.
func readHeader(r io.Reader) (*header, error) {
	var buf [header2Size + extender]byte
	if n, err := io.ReadFull(r, buf[:4]); err != nil {
		if n == 0 && errors.Is(err, io.EOF) {
			return nil, refuse(CodeNotNIfTI, "file is empty")
		}
		return nil, readError("header", err)
	}
	h := &header{order: binary.LittleEndian}
	switch {
	case binary.LittleEndian.Uint32(buf[:]) == header1Size:
		h.version = 1
	case binary.BigEndian.Uint32(buf[:]) == header1Size:
		h.version, h.order = 1, binary.BigEndian
	case binary.LittleEndian.Uint32(buf[:]) == header2Size:
		h.version = 2
	case binary.BigEndian.Uint32(buf[:]) == header2Size:
		h.version, h.order = 2, binary.BigEndian
	default:
		return nil, refuse(CodeNotNIfTI, "first field is neither %d nor %d", header1Size, header2Size)
	}
	rest := buf[:header1Size+extender]
	parse := h.parse1
	if h.version == 2 {
		rest, parse = buf[:], h.parse2
	}
	if _, err := io.ReadFull(r, rest[4:]); err != nil {
		return nil, readError("header", err)
	}
	return h, parse(rest)
}

// fields reads numbers at the offsets of the standard's C structures.
type fields struct {
	b     []byte
	order binary.ByteOrder
}

func (f fields) i16(at int) int16   { return int16(f.order.Uint16(f.b[at:])) }
func (f fields) i32(at int) int32   { return int32(f.order.Uint32(f.b[at:])) }
func (f fields) i64(at int) int64   { return int64(f.order.Uint64(f.b[at:])) }
func (f fields) f32(at int) float64 { return float64(math.Float32frombits(f.order.Uint32(f.b[at:]))) }
func (f fields) f64(at int) float64 { return math.Float64frombits(f.order.Uint64(f.b[at:])) }

// parse1 reads nifti1.h's nifti_1_header.
func (h *header) parse1(b []byte) error {
	switch string(b[344:348]) {
	case magic1:
	case magic1h:
		return refuse(CodePair, "voxels are in a separate .img file; convert to a single .nii")
	default:
		return refuse(CodeNotNIfTI, "no magic at byte 344 (an Analyze 7.5 header?)")
	}
	f := fields{b, h.order}
	for i := range h.dim {
		h.dim[i] = int64(f.i16(40 + 2*i))
		h.pixdim[i] = f.f32(76 + 4*i)
	}
	h.datatype = f.i16(70)
	h.slope, h.inter = f.f32(112), f.f32(116)
	h.qform, h.sform = int(f.i16(252)), int(f.i16(254))
	for i := range 3 {
		h.quatern[i], h.qoffset[i] = f.f32(256+4*i), f.f32(268+4*i)
		for j := range 4 {
			h.srow[i][j] = f.f32(280 + 16*i + 4*j)
		}
	}
	offset := f.f32(108)
	if offset != math.Trunc(offset) || math.Abs(offset) > 1<<40 { // a NaN is unequal to itself
		return refuse(CodeMalformed, "voxel offset %g", offset)
	}
	return h.setOffset(int64(offset), header1Size+extender)
}

// parse2 reads nifti2.h's nifti_2_header.
func (h *header) parse2(b []byte) error {
	switch string(b[4:12]) {
	case magic2:
	case magic2h:
		return refuse(CodePair, "voxels are in a separate .img file; convert to a single .nii")
	default:
		return refuse(CodeNotNIfTI, "no magic at byte 4")
	}
	f := fields{b, h.order}
	for i := range h.dim {
		h.dim[i] = f.i64(16 + 8*i)
		h.pixdim[i] = f.f64(104 + 8*i)
	}
	h.datatype = f.i16(12)
	h.slope, h.inter = f.f64(176), f.f64(184)
	h.qform, h.sform = int(f.i32(344)), int(f.i32(348))
	for i := range 3 {
		h.quatern[i], h.qoffset[i] = f.f64(352+8*i), f.f64(376+8*i)
		for j := range 4 {
			h.srow[i][j] = f.f64(400 + 32*i + 8*j)
		}
	}
	return h.setOffset(f.i64(168), header2Size+extender)
}

// setOffset checks where the voxels start; the extender ends at end.
func (h *header) setOffset(offset, end int64) error {
	if offset < end || offset-end > maxExtensions {
		return refuse(CodeMalformed, "voxel offset %d is not from %d to %d", offset, end, end+maxExtensions)
	}
	h.extensions = offset - end
	return nil
}

// image returns an image without its voxels.
func (h *header) image() (*Image, error) {
	im := &Image{Version: h.version, Slope: h.slope, Inter: h.inter}
	if h.dim[0] != 3 && h.dim[0] != 4 {
		return nil, refuse(CodeUnsupportedShape, "%d dimensions; only 3 and 4 are read", h.dim[0])
	}
	for _, d := range h.dim[1 : 1+h.dim[0]] {
		if d < 1 || d > math.MaxInt32 {
			return nil, refuse(CodeMalformed, "a dimension of %d", d)
		}
		im.Shape = append(im.Shape, int(d))
	}
	for _, t := range datatypes {
		if t.code == h.datatype {
			im.DType = t.dtype
		}
	}
	if im.DType == "" {
		return nil, refuse(CodeUnsupportedType, "datatype code %d is no integer or real type of up to 64 bits", h.datatype)
	}
	// The standard's "no scaling" is a slope of 0; nibabel writes NaN for it.
	if h.slope == 0 || math.IsNaN(h.slope) || math.IsInf(h.slope, 0) {
		im.Slope, im.Inter = 1, 0
	}
	if math.IsNaN(im.Inter) || math.IsInf(im.Inter, 0) {
		return nil, refuse(CodeMalformed, "scaling %g x + %g", h.slope, h.inter)
	}
	var err error
	im.Affine, err = h.affine()
	return im, err
}

// affine follows nibabel's get_best_affine.
func (h *header) affine() (volume.Affine, error) {
	m := h.srow
	switch {
	case known(h.sform):
	case known(h.qform):
		var err error
		if m, err = h.qformAffine(); err != nil {
			return m, err
		}
	default:
		m = h.baseAffine()
	}
	for _, row := range m {
		for _, v := range row {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return m, refuse(CodeMalformed, "affine has the element %g", v)
			}
		}
	}
	return m, nil
}

// known tells whether an xform code is one of the standard's; nibabel takes others for 0.
func known(code int) bool { return code >= 1 && code <= 5 }

// qformAffine is method 2 of nifti1.h: a unit quaternion whose real part is left out, pixel sizes, offset.
func (h *header) qformAffine() (volume.Affine, error) {
	x, y, z := h.quatern[0], h.quatern[1], h.quatern[2]
	eps := 3 * 0x1p-23 // of the float32 in which version 1 stores the quaternion
	if h.version == 2 {
		eps = 3 * 0x1p-52
	}
	w2 := 1 - (x*x + y*y + z*z)
	var w float64
	switch {
	case math.Abs(w2) < eps:
	case w2 > 0:
		w = math.Sqrt(w2)
	default:
		return volume.Affine{}, refuse(CodeMalformed, "qform quaternion (%g, %g, %g) is longer than 1", x, y, z)
	}
	s := 2 / (w*w + x*x + y*y + z*z)
	size := [3]float64{h.pixdim[1], h.pixdim[2], h.pixdim[3]}
	for _, v := range size {
		if v < 0 {
			return volume.Affine{}, refuse(CodeMalformed, "qform with a pixel size of %g", v)
		}
	}
	if h.pixdim[0] == -1 { // qfac; anything else counts as 1
		size[2] = -size[2]
	}
	m := volume.Affine{
		{1 - s*(y*y+z*z), s * (x*y - w*z), s * (x*z + w*y), h.qoffset[0]},
		{s * (x*y + w*z), 1 - s*(x*x+z*z), s * (y*z - w*x), h.qoffset[1]},
		{s * (x*z - w*y), s * (y*z + w*x), 1 - s*(x*x+y*y), h.qoffset[2]},
	}
	for i := range m {
		for j := range size {
			m[i][j] *= size[j]
		}
	}
	return m, nil
}

// baseAffine is method 1 as nibabel reads it: the pixel sizes, the first axis from right to left, the
// world's origin in the middle of the image.
func (h *header) baseAffine() volume.Affine {
	var m volume.Affine
	for i := range m {
		m[i][i] = h.pixdim[1+i]
	}
	m[0][0] = -m[0][0]
	for i := range m {
		m[i][3] = -m[i][i] * float64(h.dim[1+i]-1) / 2
	}
	return m
}
