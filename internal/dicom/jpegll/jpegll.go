// Package jpegll reads and writes JPEG Lossless images: process 14 of ITU-T T.81 (ISO/IEC 10918-1),
// Huffman coded, predictors 1 to 7 (annex H). It is the pixel codec of the DICOM transfer syntaxes
// 1.2.840.10008.1.2.4.57 and .70 (predictor 1 only), in which the data set this project works on keeps a
// part of its slices.
//
// It is our own because Go's image/jpeg knows no lossless process, and because a study is hundreds of
// slices: an image must decode at the speed of its bits.
//
// Invariants:
//   - Samples are [rows, columns, components], interleaved by pixel, row-major, one uint16 each whatever
//     the precision. Prediction is modulo 2^16 as H.1.2.1 defines it.
//   - Decode must not read outside its input, must not panic, and must not allocate by what the input
//     claims: the caller gives room for the samples, and scratch memory is bounded by the length of the input and
//     one row.
//   - Decode must never report success for an image that misses samples.
//   - Encode must give equal bytes for equal input.
package jpegll

import "errors"

// What every error of this package wraps.
var (
	// ErrMalformed is about bytes that no encoder of process 14 writes.
	ErrMalformed = errors.New("jpeg lossless: malformed")
	// ErrTruncated is about an image that ends before its last sample.
	ErrTruncated = errors.New("jpeg lossless: truncated")
	// ErrUnsupported is about valid JPEG of another process, or a feature this package leaves out:
	// subsampled components, arithmetic coding, a line count that follows the scan (DNL).
	ErrUnsupported = errors.New("jpeg lossless: unsupported")
	// ErrSize is about an image whose size is not the one the caller expects.
	ErrSize = errors.New("jpeg lossless: size differs from the expected one")
)

// Frame is what the frame header (T.81, B.2.2) says of an image.
type Frame struct {
	Rows, Columns int
	Components    int // 1 to 4
	Precision     int // bits a sample, 2 to 16
}

// Samples returns the number of samples of the image.
func (f Frame) Samples() int { return f.Rows * f.Columns * f.Components }

// The markers this package knows (T.81, table B.1).
const (
	markerSOF3 = 0xc3 // lossless, sequential, Huffman
	markerDHT  = 0xc4
	markerJPG  = 0xc8
	markerDAC  = 0xcc
	markerRST0 = 0xd0
	markerRST7 = 0xd7
	markerSOI  = 0xd8
	markerEOI  = 0xd9
	markerSOS  = 0xda
	markerDNL  = 0xdc
	markerDRI  = 0xdd
	markerTEM  = 0x01
)

// categories is the number of difference categories, SSSS of table H.2: 0 to 16.
const categories = 17
