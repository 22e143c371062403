// Package nifti reads and writes NIfTI images, versions 1 and 2, in a single file, plain or gzipped
// (https://nifti.nimh.nih.gov/nifti-1, https://nifti.nimh.nih.gov/nifti-2).
//
// It is the border for segmentations. Invariants:
//   - Whatever a header claims, memory must grow only with the bytes that really arrive, and never
//     beyond Options.MaxBytes. A gzipped file is unpacked as it is read: only the voxels are kept.
//   - A gzipped file may unpack to no more than its header claims, but for a little padding.
//   - A file is read whole or refused with an *Error; what an *Error says must come from the header's
//     structure, never from its free text fields, which may name a patient.
//   - The affine must be the one that nibabel reports: sform, else qform, else the pixel sizes. The world
//     is RAS; go to DICOM's LPS with Affine.FlipLPS.
//   - Voxels are little endian in memory and in what is written, first index fastest.
package nifti

import (
	"bufio"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	kflate "github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"

	"github.com/cspine/cspine/internal/volume"
)

// Image is one image in memory. It belongs to whom Read returned it to.
type Image struct {
	// Version is 1 or 2. Write takes 0 for the lowest version that can hold the image.
	Version int
	// Shape has three or four lengths, all positive. Its first index runs fastest in Data.
	Shape []int
	// DType is the type of the stored values.
	DType DType
	// Affine maps the first three indices to millimetres in RAS.
	Affine volume.Affine
	// Data is the stored values, little endian.
	Data []byte
	// Slope and Inter give a voxel's value: Slope*stored + Inter. 1 and 0 where the file asks for no scaling.
	// A Slope of 0 means 1.
	Slope, Inter float64
}

// DType names an element type as numpy does.
type DType string

// The element types this package knows: all integer and real types of the standard up to 64 bits.
const (
	Uint8   DType = "uint8"
	Int8    DType = "int8"
	Uint16  DType = "uint16"
	Int16   DType = "int16"
	Uint32  DType = "uint32"
	Int32   DType = "int32"
	Uint64  DType = "uint64"
	Int64   DType = "int64"
	Float32 DType = "float32"
	Float64 DType = "float64"
)

// datatypes has the standard's DT_* codes and the bytes of an element.
var datatypes = []struct {
	dtype DType
	code  int16
	size  int
}{
	{Uint8, 2, 1}, {Int16, 4, 2}, {Int32, 8, 4}, {Float32, 16, 4}, {Float64, 64, 8},
	{Int8, 256, 1}, {Uint16, 512, 2}, {Uint32, 768, 4}, {Int64, 1024, 8}, {Uint64, 1280, 8},
}

// Size returns the bytes of one element, or 0 for an unknown type.
func (d DType) Size() int {
	for _, t := range datatypes {
		if t.dtype == d {
			return t.size
		}
	}
	return 0
}

// The codes of an Error.
const (
	CodeNotNIfTI         = "not_nifti"         // no NIfTI header
	CodePair             = "pair"              // header and voxels in two files (.hdr, .img)
	CodeTruncated        = "truncated"         // ends before its last voxel
	CodeMalformed        = "malformed"         // a field contradicts the standard, or the gzip stream is damaged
	CodeTooLarge         = "too_large"         // more than Options allows, or more in a gzip stream than its header claims
	CodeUnsupportedType  = "unsupported_type"  // complex, colour or 128-bit values
	CodeUnsupportedShape = "unsupported_shape" // neither 3-D nor 4-D
	CodeNotLabels        = "not_labels"        // Labels: a value is no integer from 0 to 255
)

// Error says why bytes are not an image that this package reads. Match it by Code.
type Error struct {
	Code   string
	Detail string
}

func (e *Error) Error() string { return "nifti: " + e.Code + ": " + e.Detail }

func refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Options of Read. A field of 0 means its default.
type Options struct {
	// MaxBytes is the most bytes of voxels that are read, unpacked. 0 means 1 GiB: 1,024 slices of 512x512 at 4 bytes.
	MaxBytes int64
	// MaxCompressed is the most bytes of a gzipped file that are read. 0 means what MaxBytes of voxels take at the very worst, with the
	// largest extensions: beyond that the stream has blocks that hold nothing. Plain files are as long as their headers say.
	MaxCompressed int64
	// MaxDimension is the longest that an axis may be. 0 means 65,536: no scanner's image has as many voxels in a line.
	MaxDimension int
}

const (
	defaultMaxBytes     = 1 << 30
	defaultMaxDimension = 1 << 16
	// maxExtensions bounds what may lie between the header and the voxels.
	maxExtensions = 64 << 20
	// maxTrailing bounds what a gzipped file may have after its voxels.
	maxTrailing = 1 << 20
	// firstRead is what is allocated before any voxel has arrived.
	firstRead = 1 << 20
)

func (o *Options) withDefaults() Options {
	var all Options
	if o != nil {
		all = *o
	}
	if all.MaxBytes <= 0 {
		all.MaxBytes = defaultMaxBytes
	}
	if all.MaxDimension <= 0 {
		all.MaxDimension = defaultMaxDimension
	}
	if all.MaxCompressed <= 0 {
		all.MaxCompressed = math.MaxInt64
		// Deflate adds 5 bytes to 65,535 that it can't shorten; a sixteenth leaves room for poor packers.
		if most := all.MaxBytes + all.MaxBytes/16 + maxExtensions + maxTrailing; most > all.MaxBytes { // no overflow
			all.MaxCompressed = most
		}
	}
	return all
}

// Read reads one image. It returns an *Error for bytes that it refuses, and r's own error, wrapped, when
// reading fails otherwise.
func Read(r io.Reader, opts *Options) (*Image, error) {
	o := opts.withDefaults()
	b := bufio.NewReaderSize(r, 1<<16)
	if lead, err := b.Peek(2); err != nil || lead[0] != 0x1f || lead[1] != 0x8b {
		return read(b, &o)
	}
	z, err := gzip.NewReader(&limited{b, o.MaxCompressed, o.MaxCompressed})
	if err != nil {
		return nil, readError("gzip header", err)
	}
	img, err := read(z, &o)
	if err != nil {
		return nil, err
	}
	// Only at the end of the stream is its checksum compared.
	switch _, err := io.CopyN(io.Discard, z, maxTrailing+1); {
	case err == nil:
		return nil, refuse(CodeTooLarge, "the gzip stream unpacks to over %d bytes more than its header claims", maxTrailing)
	case !errors.Is(err, io.EOF):
		return nil, readError("gzip end", err)
	}
	return img, nil
}

// limited reads at most left more bytes of r, and refuses the file if there are more.
type limited struct {
	r         io.Reader
	left, all int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left > 0 {
		n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
		l.left -= int64(n)
		return n, err
	}
	var one [1]byte
	n, err := l.r.Read(one[:])
	if n > 0 {
		return 0, refuse(CodeTooLarge, "the gzipped file has more than the %d bytes allowed", l.all)
	}
	return 0, err
}

// Value returns the scaled value of the i-th voxel in Data's order. 64-bit integers are rounded to float64.
func (im *Image) Value(i int) float64 {
	slope, inter := im.scaling()
	return float64(slope*im.stored(i)) + inter // rounded twice on every processor, as numpy does
}

// Voxels returns the product of the shape.
func (im *Image) Voxels() int {
	n := 1
	for _, d := range im.Shape {
		n *= d
	}
	return n
}

// scaling returns Slope and Inter, a slope of 0 read as 1.
func (im *Image) scaling() (slope, inter float64) {
	if im.Slope == 0 {
		return 1, im.Inter
	}
	return im.Slope, im.Inter
}

func (im *Image) scaled() bool {
	slope, inter := im.scaling()
	return slope != 1 || inter != 0
}

func (im *Image) stored(i int) float64 {
	le := binary.LittleEndian
	switch im.DType {
	case Uint8:
		return float64(im.Data[i])
	case Int8:
		return float64(int8(im.Data[i]))
	case Uint16:
		return float64(le.Uint16(im.Data[2*i:]))
	case Int16:
		return float64(int16(le.Uint16(im.Data[2*i:])))
	case Uint32:
		return float64(le.Uint32(im.Data[4*i:]))
	case Int32:
		return float64(int32(le.Uint32(im.Data[4*i:])))
	case Float32:
		return float64(math.Float32frombits(le.Uint32(im.Data[4*i:])))
	case Uint64:
		return float64(le.Uint64(im.Data[8*i:]))
	case Int64:
		return float64(int64(le.Uint64(im.Data[8*i:])))
	case Float64:
		return math.Float64frombits(le.Uint64(im.Data[8*i:]))
	}
	panic("nifti: unknown element type " + string(im.DType))
}

// read reads an image that is not compressed.
func read(r io.Reader, o *Options) (*Image, error) {
	h, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	img, err := h.image()
	if err != nil {
		return nil, err
	}
	size := int64(img.DType.Size())
	for _, d := range img.Shape {
		if d > o.MaxDimension {
			return nil, refuse(CodeTooLarge, "shape %v has an axis of more than the %d voxels allowed", img.Shape, o.MaxDimension)
		}
		if int64(d) > o.MaxBytes/size {
			return nil, refuse(CodeTooLarge, "shape %v of %s is more than the %d bytes allowed", img.Shape, img.DType, o.MaxBytes)
		}
		size *= int64(d)
	}
	if _, err := io.CopyN(io.Discard, r, h.extensions); err != nil {
		return nil, readError("extensions", err)
	}
	if img.Data, err = readVoxels(r, int(size)); err != nil {
		return nil, err
	}
	if h.order == binary.ByteOrder(binary.BigEndian) {
		swap(img.Data, img.DType.Size())
	}
	return img, nil
}

// readVoxels reads n bytes. The buffer grows to at most four times what has arrived, so that a header that lies
// costs its sender nearly as much as us, while at most a quarter of the voxels is ever held twice.
func readVoxels(r io.Reader, n int) ([]byte, error) {
	data := make([]byte, min(n, firstRead))
	for have := 0; ; {
		got, err := io.ReadFull(r, data[have:])
		if have += got; err != nil {
			return nil, readError(fmt.Sprintf("voxels: %d of %d bytes", have, n), err)
		}
		if have == n {
			return data, nil
		}
		larger := make([]byte, min(4*have, n))
		copy(larger, data)
		data = larger
	}
}

// swap reverses the bytes of every element.
func swap(data []byte, size int) {
	le, be := binary.LittleEndian, binary.BigEndian
	switch size {
	case 2:
		for ; len(data) >= 2; data = data[2:] {
			le.PutUint16(data, be.Uint16(data))
		}
	case 4:
		for ; len(data) >= 4; data = data[4:] {
			le.PutUint32(data, be.Uint32(data))
		}
	case 8:
		for ; len(data) >= 8; data = data[8:] {
			le.PutUint64(data, be.Uint64(data))
		}
	}
}

// readError tells damaged bytes from a source that failed.
func readError(where string, err error) error {
	var refused *Error
	var corrupt flate.CorruptInputError
	var kcorrupt kflate.CorruptInputError
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return refuse(CodeTruncated, "file ends in its %s", where)
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt), errors.As(err, &kcorrupt):
		return refuse(CodeMalformed, "%s: damaged gzip stream: %v", where, err)
	}
	return fmt.Errorf("nifti: reading %s: %w", where, err)
}
