package nifti

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/gzip"
)

// Write writes img as a single .nii file, little endian, without extensions. Equal images are equal bytes.
//
// The affine is written as the sform (code 2, aligned), and, where it has no shear, as the qform too, for
// readers that prefer that. Version 1 rounds the affine and the scaling to float32. An image whose fields
// contradict each other is an error before the first byte.
func Write(w io.Writer, img *Image) error {
	head, err := img.header()
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("nifti: writing the header: %w", err)
	}
	if _, err := w.Write(img.Data); err != nil {
		return fmt.Errorf("nifti: writing the voxels: %w", err)
	}
	return nil
}

// WriteGz writes img as a .nii.gz file.
func WriteGz(w io.Writer, img *Image) error {
	z := gzip.NewWriter(w)
	if err := Write(z, img); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("nifti: writing the end of the gzip stream: %w", err)
	}
	return nil
}

// header returns the bytes up to the first voxel.
func (im *Image) header() ([]byte, error) {
	if len(im.Shape) != 3 && len(im.Shape) != 4 {
		return nil, refuse(CodeUnsupportedShape, "%d dimensions; only 3 and 4 are written", len(im.Shape))
	}
	longest := 0
	for _, d := range im.Shape {
		if d < 1 {
			return nil, refuse(CodeMalformed, "a dimension of %d", d)
		}
		longest = max(longest, d)
	}
	if im.DType.Size() == 0 {
		return nil, refuse(CodeUnsupportedType, "element type %q", im.DType)
	}
	if want := im.Voxels() * im.DType.Size(); want != len(im.Data) {
		return nil, refuse(CodeMalformed, "shape %v of %s needs %d bytes, there are %d", im.Shape, im.DType, want, len(im.Data))
	}
	switch {
	case im.Version == 2, im.Version == 0 && longest > math.MaxInt16:
		return im.header2(), nil
	case longest > math.MaxInt16:
		return nil, refuse(CodeTooLarge, "a dimension of %d; version 1 holds at most %d", longest, math.MaxInt16)
	}
	return im.header1(), nil
}

func (im *Image) header1() []byte {
	b := make([]byte, header1Size+extender)
	le := binary.LittleEndian
	i16 := func(at int, v int16) { le.PutUint16(b[at:], uint16(v)) }
	f32 := func(at int, v float64) { le.PutUint32(b[at:], math.Float32bits(float32(v))) }
	g := im.geometry()
	le.PutUint32(b, header1Size)
	for i := range 8 {
		i16(40+2*i, int16(g.dim[i]))
		f32(76+4*i, g.pixdim[i])
	}
	i16(70, im.code())
	i16(72, int16(8*im.DType.Size()))
	f32(108, header1Size+extender)
	slope, inter := im.scaling()
	f32(112, slope)
	f32(116, inter)
	b[123] = 2 // millimetres
	i16(252, int16(g.qform))
	i16(254, 2)
	for i := range 3 {
		f32(256+4*i, g.quatern[i])
		f32(268+4*i, im.Affine[i][3])
		for j := range 4 {
			f32(280+16*i+4*j, im.Affine[i][j])
		}
	}
	copy(b[344:], magic1)
	return b
}

func (im *Image) header2() []byte {
	b := make([]byte, header2Size+extender)
	le := binary.LittleEndian
	i16 := func(at int, v int16) { le.PutUint16(b[at:], uint16(v)) }
	i32 := func(at int, v int32) { le.PutUint32(b[at:], uint32(v)) }
	i64 := func(at int, v int64) { le.PutUint64(b[at:], uint64(v)) }
	f64 := func(at int, v float64) { le.PutUint64(b[at:], math.Float64bits(v)) }
	g := im.geometry()
	i32(0, header2Size)
	copy(b[4:], magic2)
	i16(12, im.code())
	i16(14, int16(8*im.DType.Size()))
	for i := range 8 {
		i64(16+8*i, int64(g.dim[i]))
		f64(104+8*i, g.pixdim[i])
	}
	i64(168, header2Size+extender)
	slope, inter := im.scaling()
	f64(176, slope)
	f64(184, inter)
	i32(344, int32(g.qform))
	i32(348, 2)
	for i := range 3 {
		f64(352+8*i, g.quatern[i])
		f64(376+8*i, im.Affine[i][3])
		for j := range 4 {
			f64(400+32*i+8*j, im.Affine[i][j])
		}
	}
	i32(500, 2) // millimetres
	return b
}

func (im *Image) code() int16 {
	for _, t := range datatypes {
		if t.dtype == im.DType {
			return t.code
		}
	}
	panic("nifti: unknown element type " + string(im.DType))
}

// geometry is what both versions' headers derive from shape and affine.
type geometry struct {
	dim     [8]int
	pixdim  [8]float64
	qform   int
	quatern [3]float64
}

func (im *Image) geometry() geometry {
	g := geometry{dim: [8]int{len(im.Shape), 1, 1, 1, 1, 1, 1, 1}, pixdim: [8]float64{1, 1, 1, 1, 1, 1, 1, 1}}
	copy(g.dim[1:], im.Shape)
	var r [3][3]float64 // the affine's directions
	for j := range 3 {
		size := math.Hypot(math.Hypot(im.Affine[0][j], im.Affine[1][j]), im.Affine[2][j])
		g.pixdim[1+j] = size
		for i := range 3 {
			r[i][j] = im.Affine[i][j] / size
		}
	}
	q, qfac, ok := quaternion(r)
	if ok {
		g.qform, g.quatern, g.pixdim[0] = 2, q, qfac
	}
	return g
}

// quaternion returns the b, c, d of nifti1.h's method 2 with a ≥ 0, and its qfac. ok is false where r is no
// rotation, with or without a reflection, to within 1e-4 (files are read with float32 affines).
func quaternion(r [3][3]float64) (q [3]float64, qfac float64, ok bool) {
	for i := range 3 {
		for j := range 3 {
			dot := r[0][i]*r[0][j] + r[1][i]*r[1][j] + r[2][i]*r[2][j]
			want := 0.0
			if i == j {
				want = 1
			}
			if !(math.Abs(dot-want) < 1e-4) { // also where it is NaN
				return q, 0, false
			}
		}
	}
	qfac = 1
	if determinant(r) < 0 {
		qfac = -1
		for i := range r {
			r[i][2] = -r[i][2]
		}
	}
	// Shepperd's method: divide by the largest of the four components.
	xx, yy, zz := r[0][0], r[1][1], r[2][2]
	var a, b, c, d float64
	switch {
	case xx+yy+zz > 0:
		a = math.Sqrt(1+xx+yy+zz) / 2
		b, c, d = (r[2][1]-r[1][2])/(4*a), (r[0][2]-r[2][0])/(4*a), (r[1][0]-r[0][1])/(4*a)
	case xx >= yy && xx >= zz:
		b = math.Sqrt(1+xx-yy-zz) / 2
		a, c, d = (r[2][1]-r[1][2])/(4*b), (r[0][1]+r[1][0])/(4*b), (r[0][2]+r[2][0])/(4*b)
	case yy >= zz:
		c = math.Sqrt(1+yy-xx-zz) / 2
		a, b, d = (r[0][2]-r[2][0])/(4*c), (r[0][1]+r[1][0])/(4*c), (r[1][2]+r[2][1])/(4*c)
	default:
		d = math.Sqrt(1+zz-xx-yy) / 2
		a, b, c = (r[1][0]-r[0][1])/(4*d), (r[0][2]+r[2][0])/(4*d), (r[1][2]+r[2][1])/(4*d)
	}
	norm := math.Sqrt(a*a + b*b + c*c + d*d)
	if a < 0 {
		norm = -norm
	}
	return [3]float64{b / norm, c / norm, d / norm}, qfac, true
}

func determinant(r [3][3]float64) float64 {
	return r[0][0]*(r[1][1]*r[2][2]-r[1][2]*r[2][1]) - r[0][1]*(r[1][0]*r[2][2]-r[1][2]*r[2][0]) + r[0][2]*(r[1][0]*r[2][1]-r[1][1]*r[2][0])
}
