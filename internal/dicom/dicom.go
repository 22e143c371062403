// Package dicom reads and writes CT slices in DICOM's file format (PS3.10, PS3.5): the header as far as
// a slice's place and meaning go, the pixel data as stored values, and the writer the phantom uses.
//
// Header elements are parsed by github.com/suyashkumar/dicom. Three things around it are ours, because of
// what was measured on v1.1.0:
//
//   - A bounded scan before it (scan.go). A hostile file of 184 bytes made the library allocate 3.8 GB and
//     return no error, 40 KB of nested sequences 3.6 GB; 39 % of random truncations came back as success,
//     and 8 of 738 public files made it panic. The scan checks every length against the bytes that are
//     left, bounds depth and number of elements, and hands the library nothing but the few elements a
//     slice needs, rewritten in one syntax. That also takes a CT header from 190 to 40 µs.
//   - Pixels (decode.go). The library's frames took 4.6 ms a slice and ignore PixelRepresentation, so that
//     signed CT comes out unsigned.
//   - The codecs, which it has not: packages jpegll, jpegls, jpeg2000, rle and, for all others, sandbox.
//
// Invariants:
//   - Reading must not panic, and must not allocate by what a file claims: memory is bounded by Limits
//     and by the bytes really there.
//   - Limits refuse, and change nothing of what is read: an index made under one set of them is right under all.
//   - A file that misses a byte of its pixel data must not be read with success.
//   - Errors must carry no value of the file but codes, numbers, tags and UIDs that are checked to be ones:
//     a header is full of the patient.
//   - Stored values must be those the file holds. What they mean (Slope, Intercept, Padding) is handed over
//     beside them.
package dicom

import (
	"errors"
	"io"
)

// Header is what the pipeline needs to know of one CT slice before its pixels.
type Header struct {
	// UIDs are empty when absent. De-identified data may have a hash in the place of one: letters, digits,
	// dots and dashes, at most 64.
	StudyUID, SeriesUID         string
	SOPClassUID, SOPInstanceUID string
	FrameOfReferenceUID         string
	Modality                    string
	ImageType                   []string
	Manufacturer                string // as the scanner writes it
	Kernel                      string // ConvolutionKernel as the scanner names it; the first, when several
	InstanceNumber              int
	HasInstanceNumber           bool

	// PositionMM is the centre of the first pixel and Orientation the directions of a row and of a column,
	// in patient coordinates (LPS; PS3.3, C.7.6.2.1.1). HasGeometry says that both are there and that the
	// directions are of length one and perpendicular; they are zero otherwise.
	PositionMM  [3]float64
	Orientation [6]float64
	HasGeometry bool

	SpacingMM         [2]float64 // between rows, between columns; zero when absent
	ThicknessMM       float64    // zero when absent
	GantryTiltDegrees float64    // zero when absent

	Slope, Intercept float64 // HU = stored value x Slope + Intercept; 1 and 0 when absent
	// Padding is PixelPaddingValue as a stored value: what stands where the scanner measured nothing.
	Padding *int32

	Pixels PixelFormat

	frames []frameGeometry // of each frame, where functional groups say it
	places *places
}

// PixelFormat is where a file's pixel data lie and how they are coded.
type PixelFormat struct {
	TransferSyntax TransferSyntax `json:"transfer_syntax"`
	Rows           int            `json:"rows"`
	Columns        int            `json:"columns"`
	Frames         int            `json:"frames"`
	Samples        int            `json:"samples"`
	BitsAllocated  int            `json:"bits_allocated"`
	BitsStored     int            `json:"bits_stored"`
	HighBit        int            `json:"high_bit"`
	Signed         bool           `json:"signed"`
	Photometric    string         `json:"photometric"`
	// Offset and Length are the bytes of the pixel data element's value in the file. Encapsulated values
	// include their sequence delimiter.
	Offset       int64 `json:"offset"`
	Length       int64 `json:"length"`
	Encapsulated bool  `json:"encapsulated"`
	// Deflated is where a deflated data set begins, else 0. Offset counts in the file as it is when that is inflated (see Value).
	Deflated int64 `json:"deflated,omitempty"`
	// Float says that samples are floating point numbers (PS3.3, C.7.6.24), of BitsAllocated bits.
	Float bool `json:"float,omitempty"`
	// Bare says that the value has fragments alone: neither an offset table nor a delimiter.
	Bare bool `json:"bare,omitempty"`
	// Words says that samples of up to eight bits lie in words of sixteen, which big endian files swap.
	Words bool `json:"words,omitempty"`
	// MaxPixels is the most rows x columns that are decoded; 0 means the default of Limits. It is a limit's, nothing of the file: whoever kept
	// a format that was accepted under another sets it anew.
	MaxPixels int `json:"-"`
}

// Options say what ReadHeader accepts.
type Options struct {
	// HeaderOnly accepts files DecodeFrame would refuse: other modalities, transfer syntaxes and pixel
	// formats, and none at all. Files whose syntax hides the header itself stay refused.
	HeaderOnly bool
	// Limits bound what is read.
	Limits Limits
}

// ReadHeader reads the header of a file of size bytes. It reads the first 16 KiB, further blocks when the
// header is longer, and of the pixel data only the heads of its fragments, which it follows to their end.
//
// Errors about the file are *Error; those of r are wrapped as they are. r is not used after the return.
func ReadHeader(r io.ReaderAt, size int64, opts *Options) (*Header, error) {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	s := getScanner(r, size, o.Limits)
	defer s.release()
	if err := s.scan(); err != nil {
		return nil, err
	}
	h, err := s.parse()
	if err != nil {
		return nil, err
	}
	if !o.HeaderOnly {
		switch {
		case h.Modality != "CT":
			return nil, &Error{Code: NotCT, Tag: tagModality.String(), Offset: s.offset(tagModality), Detail: "modality is " + CodeString(h.Modality),
				Remedy: "leave files of other modalities out of the study's folder"}
		case size > s.limits.Bytes:
			return nil, overLimit("bytes", s.pixels.tag, s.pixels.value, "the file has %d bytes, at most %d are read", size, s.limits.Bytes)
		}
	}
	if err := s.locatePixels(&h.Pixels); err != nil {
		return nil, err
	}
	h.places, h.Pixels.MaxPixels = s.places, o.Limits.Pixels
	if !o.HeaderOnly {
		if err := h.Pixels.check(); err != nil {
			return nil, s.placed(err)
		}
	}
	return h, nil
}

// placed adds to an error where in the file its element lies.
func (s *scanner) placed(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Offset != 0 {
		return err
	}
	if e.Tag == place(s.pixels.tag) {
		e.Offset = s.pixels.value
	}
	for _, f := range s.found {
		if e.Tag == place(f.tag) {
			e.Offset = f.offset
		}
	}
	return err
}
