package dicom

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	suyash "github.com/suyashkumar/dicom"
)

// parse has the library parse the found elements and puts their values into a header.
func (s *scanner) parse() (h *Header, err error) {
	defer func() {
		if p := recover(); p != nil {
			// The panic's text may quote a value: it is dropped.
			h, err = nil, &Error{Code: LibraryFailed, Detail: "the DICOM library panicked"}
		}
	}()
	file := s.rewrite()
	set, err := suyash.Parse(bytes.NewReader(file), int64(len(file)), nil, suyash.SkipPixelData())
	if err != nil {
		return nil, &Error{Code: LibraryFailed, Detail: "the DICOM library cannot parse elements that were found good"}
	}
	h = &Header{Slope: 1, Pixels: PixelFormat{TransferSyntax: s.syntax, Frames: 1, Samples: 1, HighBit: -1}}
	for _, e := range set.Elements {
		t := tag(e.Tag.Group)<<16 | tag(e.Tag.Element)
		if t.group() == 2 {
			continue
		}
		if err := h.set(t, e.Value.GetValue(), s.offset(t)); err != nil {
			return nil, err
		}
	}
	h.finish()
	if h.frames, err = s.frames(h); err != nil {
		return nil, err
	}
	return h, nil
}

// rewrite returns a DICOM file of the found elements, explicit little endian.
func (s *scanner) rewrite() []byte {
	w := writer{buf: make([]byte, 132, 512+len(s.values)+8*len(s.found))}
	copy(w.buf[128:], "DICM")
	w.bytes(tagMetaLength, "UL", []byte{28, 0, 0, 0})
	w.text(tagTransferSyntax, "UI", string(ExplicitLittleEndian))
	for _, e := range s.found {
		w.bytes(e.tag, wanted[e.tag], s.values[e.from:e.to])
	}
	return w.buf
}

func (s *scanner) offset(t tag) int64 {
	for _, e := range s.found {
		if e.tag == t {
			return e.offset
		}
	}
	return 0
}

// set puts one parsed value into the header. offset is where it lies in the file, for errors.
func (h *Header) set(t tag, value any, offset int64) error {
	switch v := value.(type) {
	case []int:
		if len(v) != 1 {
			return malformed(t, offset, "%d numbers, must be one", len(v))
		}
		return h.setNumber(t, v[0], offset)
	case []string:
		for i := range v {
			v[i] = trim(v[i])
		}
		return h.setText(t, v, offset)
	}
	return malformed(t, offset, "a value of an unexpected kind")
}

func (h *Header) setNumber(t tag, v int, offset int64) error {
	switch t {
	case tagSamples:
		h.Pixels.Samples = v
	case tagRows:
		h.Pixels.Rows = v
	case tagColumns:
		h.Pixels.Columns = v
	case tagBitsAllocated:
		h.Pixels.BitsAllocated = v
	case tagBitsStored:
		h.Pixels.BitsStored = v
	case tagHighBit:
		h.Pixels.HighBit = v
	case tagRepresent:
		if v > 1 {
			return malformed(t, offset, "pixel representation %d, must be 0 or 1", v)
		}
		h.Pixels.Signed = v == 1
	case tagPadding:
		padding := int32(v) // made signed by finish, when the representation is known
		h.Padding = &padding
	}
	return nil
}

func (h *Header) setText(t tag, v []string, offset int64) error {
	switch t {
	case tagImageType:
		h.ImageType = v
	case tagModality:
		h.Modality = v[0]
	case tagManufacturer:
		h.Manufacturer = v[0]
	case tagKernel:
		h.Kernel = v[0]
	case tagPhotometric:
		h.Pixels.Photometric = v[0]
	case tagSOPClassUID, tagSOPInstanceUID, tagStudyUID, tagSeriesUID, tagFrameOfRef:
		return h.setUID(t, v[0], offset)
	case tagInstanceNumber, tagFrames:
		return h.setInteger(t, v[0], offset)
	case tagThickness, tagGantryTilt, tagIntercept, tagSlope:
		return h.setDecimal(t, v[0], offset)
	case tagPosition:
		if decimals(h.PositionMM[:], v) {
			h.HasGeometry = true // as far as finish agrees
		}
	case tagOrientation:
		if !decimals(h.Orientation[:], v) {
			h.Orientation = [6]float64{}
		}
	case tagPixelSpacing:
		if !decimals(h.SpacingMM[:], v) || h.SpacingMM[0] <= 0 || h.SpacingMM[1] <= 0 {
			h.SpacingMM = [2]float64{}
		}
	}
	return nil
}

func (h *Header) setUID(t tag, v string, offset int64) error {
	if v == "" {
		return nil
	}
	if !isIdentifier(v) {
		return malformed(t, offset, "the value is not an identifier")
	}
	switch t {
	case tagSOPClassUID:
		h.SOPClassUID = v
	case tagSOPInstanceUID:
		h.SOPInstanceUID = v
	case tagStudyUID:
		h.StudyUID = v
	case tagSeriesUID:
		h.SeriesUID = v
	case tagFrameOfRef:
		h.FrameOfReferenceUID = v
	}
	return nil
}

func (h *Header) setInteger(t tag, v string, offset int64) error {
	if v == "" {
		return nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		return malformed(t, offset, "the value is not an integer of 32 bits")
	}
	if t == tagInstanceNumber {
		h.InstanceNumber, h.HasInstanceNumber = int(n), true
		return nil
	}
	if n < 1 {
		return malformed(t, offset, "%d frames", n)
	}
	h.Pixels.Frames = int(n)
	return nil
}

func (h *Header) setDecimal(t tag, v string, offset int64) error {
	if v == "" {
		return nil
	}
	x, ok := decimal(v)
	if !ok || t == tagSlope && x == 0 {
		return malformed(t, offset, "the value is not a usable decimal number")
	}
	switch t {
	case tagThickness:
		h.ThicknessMM = x
	case tagGantryTilt:
		h.GantryTiltDegrees = x
	case tagIntercept:
		h.Intercept = x
	case tagSlope:
		h.Slope = x
	}
	return nil
}

// finish settles what needs more than one element.
func (h *Header) finish() {
	if h.Padding != nil && h.Pixels.Signed {
		*h.Padding = int32(int16(*h.Padding)) // also when its VR says otherwise, as many scanners write it
	}
	if h.Pixels.HighBit < 0 {
		h.Pixels.HighBit = h.Pixels.BitsStored - 1
	}
	h.HasGeometry = h.HasGeometry && perpendicular(&h.Orientation)
	if !h.HasGeometry {
		h.PositionMM, h.Orientation = [3]float64{}, [6]float64{}
	}
}

// perpendicular tells whether the directions of a row and of a column are of length one and perpendicular.
func perpendicular(o *[6]float64) bool {
	const tolerance = 1e-3 // DS values are rounded, to four decimals by some scanners
	row := o[0]*o[0] + o[1]*o[1] + o[2]*o[2]
	column := o[3]*o[3] + o[4]*o[4] + o[5]*o[5]
	across := o[0]*o[3] + o[1]*o[4] + o[2]*o[5]
	return math.Abs(row-1) < tolerance && math.Abs(column-1) < tolerance && math.Abs(across) < tolerance
}

// decimals fills dst if v has exactly as many numbers.
func decimals(dst []float64, v []string) bool {
	if len(v) != len(dst) {
		return false
	}
	for i := range v {
		x, ok := decimal(v[i])
		if !ok {
			return false
		}
		dst[i] = x
	}
	return true
}

// decimal parses a DS value (PS3.5, section 6.2), which knows neither infinities nor other bases.
func decimal(s string) (float64, bool) {
	if strings.Trim(s, "0123456789+-.eE") != "" {
		return 0, false
	}
	x, err := strconv.ParseFloat(s, 64)
	return x, err == nil
}

func trim(s string) string { return strings.Trim(s, " \x00\t\r\n") }
