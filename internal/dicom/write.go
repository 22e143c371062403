package dicom

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/cspine/cspine/internal/dicom/jpegll"
)

// CT is one computed tomography slice to be written. Nothing in it is of a patient: the file's patient
// fields say PHANTOM.
//
// Lengths are millimetres and places are patient coordinates (LPS), as in the standard.
type CT struct {
	StudyUID, SeriesUID, SOPInstanceUID string
	FrameOfReferenceUID                 string // left out when empty
	InstanceNumber                      int
	SeriesNumber                        int    // 0 is 1
	Modality                            string // empty is CT
	ImageType                           []string
	Manufacturer, Kernel, BodyPart      string // left out when empty

	Rows, Columns             int
	NoGeometry                bool // leave position and orientation out
	PositionMM                [3]float64
	Orientation               [6]float64 // row direction, then column direction; zero is axial
	SpacingMM                 [2]float64 // between rows, between columns
	ThicknessMM               float64    // left out when 0
	SpacingBetweenSlicesMM    float64    // left out when 0
	GantryTiltDegrees         float64
	KVP                       float64 // left out when 0
	WindowCentre, WindowWidth float64 // left out when the width is 0

	Slope, Intercept float64 // HU = stored x slope + intercept; slope 0 is 1
	BitsStored       int     // 1 to 16; 0 is 16. Bits allocated are always 16
	Signed           bool    // two's complement of BitsStored bits
	Padding          *int32  // PixelPaddingValue, left out when nil

	// Pix is the stored words, [Rows, Columns]. Words of fewer than 16 stored bits are written as they are
	// by the uncompressed syntaxes (a signed one is best sign-extended to 16 bits, as scanners do) and
	// without their bits above BitsStored by the JPEG ones. Encode only reads it.
	Pix []uint16
}

const (
	ctImageStorage = "1.2.840.10008.5.1.4.1.1.2"
	// implementationUID names this writer: 2.25 and a fixed random UUID (PS3.5, B.2).
	implementationUID     = "2.25.157894260211467036871853924601738250467"
	implementationVersion = "CSPINE"
)

// Encode returns the slice as a DICOM file (PS3.10) in one of the writable transfer syntaxes. Equal
// slices give equal bytes.
func (c *CT) Encode(ts TransferSyntax) ([]byte, error) {
	if err := c.check(ts); err != nil {
		return nil, err
	}
	w := writer{buf: make([]byte, 132, 4096+2*len(c.Pix))}
	copy(w.buf[128:], "DICM")
	c.writeMeta(&w, ts)
	w.implicit = ts == ImplicitLittleEndian
	c.writeIdentity(&w)
	c.writeAcquisition(&w)
	c.writeRelationship(&w)
	c.writeImage(&w)
	if err := c.writePixels(&w, ts); err != nil {
		return nil, err
	}
	return w.buf, nil
}

func (c *CT) check(ts TransferSyntax) error {
	if !ts.Writable() {
		return fmt.Errorf("dicom: cannot write %s (%s)", ts, ts.Name())
	}
	if c.Rows < 1 || c.Columns < 1 || c.Rows > 65535 || c.Columns > 65535 || len(c.Pix) != c.Rows*c.Columns {
		return fmt.Errorf("dicom: %d samples for %d rows x %d columns", len(c.Pix), c.Rows, c.Columns)
	}
	if c.BitsStored < 0 || c.BitsStored > 16 {
		return fmt.Errorf("dicom: %d stored bits, must be 1 to 16", c.BitsStored)
	}
	for _, uid := range []struct{ name, value string }{
		{"StudyUID", c.StudyUID}, {"SeriesUID", c.SeriesUID}, {"SOPInstanceUID", c.SOPInstanceUID},
	} {
		if uid.value == "" || len(uid.value) > 64 || strings.Trim(uid.value, "0123456789.") != "" {
			return fmt.Errorf("dicom: %s is not a UID (PS3.5, section 9)", uid.name)
		}
	}
	return nil
}

func (c *CT) bitsStored() int {
	if c.BitsStored == 0 {
		return 16
	}
	return c.BitsStored
}

// writeMeta writes the file meta information, which is explicit little endian in every syntax.
func (c *CT) writeMeta(w *writer, ts TransferSyntax) {
	w.bytes(tagMetaLength, "UL", make([]byte, 4))
	start := len(w.buf)
	w.bytes(tagMetaVersion, "OB", []byte{0, 1})
	w.text(tagMediaSOPClass, "UI", ctImageStorage)
	w.text(tagMediaSOPInstance, "UI", c.SOPInstanceUID)
	w.text(tagTransferSyntax, "UI", string(ts))
	w.text(tagImplClassUID, "UI", implementationUID)
	w.text(tagImplVersion, "SH", implementationVersion)
	binary.LittleEndian.PutUint32(w.buf[start-4:], uint32(len(w.buf)-start))
}

func (c *CT) writeIdentity(w *writer) {
	imageType := c.ImageType
	if len(imageType) == 0 {
		imageType = []string{"ORIGINAL", "PRIMARY", "AXIAL"}
	}
	modality := c.Modality
	if modality == "" {
		modality = "CT"
	}
	w.text(tagCharacterSet, "CS", "ISO_IR 192")
	w.text(tagImageType, "CS", imageType...)
	w.text(tagSOPClassUID, "UI", ctImageStorage)
	w.text(tagSOPInstanceUID, "UI", c.SOPInstanceUID)
	w.text(tagStudyDate, "DA", "20000101")
	w.text(tagStudyTime, "TM", "000000")
	w.text(tagAccession, "SH", "")
	w.text(tagModality, "CS", modality)
	w.optional(tagManufacturer, "LO", c.Manufacturer)
	w.text(tagReferrer, "PN", "")
	w.text(tagPatientName, "PN", "PHANTOM")
	w.text(tagPatientID, "LO", "PHANTOM")
	w.text(tagPatientBirthDate, "DA", "")
	w.text(tagPatientSex, "CS", "O")
}

func (c *CT) writeAcquisition(w *writer) {
	w.optional(tagBodyPart, "CS", c.BodyPart)
	w.positive(tagThickness, c.ThicknessMM)
	w.positive(tagKVP, c.KVP)
	w.positive(tagSpacingBetween, c.SpacingBetweenSlicesMM)
	w.decimals(tagGantryTilt, c.GantryTiltDegrees)
	w.optional(tagKernel, "SH", c.Kernel)
	w.text(tagPatientPos, "CS", "HFS")
}

func (c *CT) writeRelationship(w *writer) {
	series := c.SeriesNumber
	if series == 0 {
		series = 1
	}
	w.text(tagStudyUID, "UI", c.StudyUID)
	w.text(tagSeriesUID, "UI", c.SeriesUID)
	w.text(tagStudyID, "SH", "")
	w.text(tagSeriesNumber, "IS", strconv.Itoa(series))
	w.text(tagAcquisition, "IS", "1")
	w.text(tagInstanceNumber, "IS", strconv.Itoa(c.InstanceNumber))
	if !c.NoGeometry {
		orientation := c.Orientation
		if orientation == ([6]float64{}) {
			orientation = [6]float64{1, 0, 0, 0, 1, 0}
		}
		w.decimals(tagPosition, c.PositionMM[:]...)
		w.decimals(tagOrientation, orientation[:]...)
	}
	if c.FrameOfReferenceUID != "" {
		w.text(tagFrameOfRef, "UI", c.FrameOfReferenceUID)
		w.text(tagPositionRef, "LO", "")
	}
}

func (c *CT) writeImage(w *writer) {
	stored := uint16(c.bitsStored())
	representation, paddingVR := uint16(0), "US"
	if c.Signed {
		representation, paddingVR = 1, "SS"
	}
	slope := c.Slope
	if slope == 0 {
		slope = 1
	}
	w.short(tagSamples, "US", 1)
	w.text(tagPhotometric, "CS", "MONOCHROME2")
	w.short(tagRows, "US", uint16(c.Rows))
	w.short(tagColumns, "US", uint16(c.Columns))
	w.decimals(tagPixelSpacing, c.SpacingMM[:]...)
	w.short(tagBitsAllocated, "US", 16)
	w.short(tagBitsStored, "US", stored)
	w.short(tagHighBit, "US", stored-1)
	w.short(tagRepresent, "US", representation)
	if c.Padding != nil {
		w.short(tagPadding, paddingVR, uint16(*c.Padding))
	}
	if c.WindowWidth > 0 {
		w.decimals(tagWindowCentre, c.WindowCentre)
		w.decimals(tagWindowWidth, c.WindowWidth)
	}
	w.decimals(tagIntercept, c.Intercept)
	w.decimals(tagSlope, slope)
	w.text(tagRescaleType, "LO", "HU")
}

func (c *CT) writePixels(w *writer, ts TransferSyntax) error {
	if !ts.encapsulated() {
		w.words(tagPixelData, c.Pix)
		return nil
	}
	pix, stored := c.Pix, c.bitsStored()
	if stored < 16 {
		pix = make([]uint16, len(c.Pix))
		for i, v := range c.Pix {
			pix[i] = v & (1<<stored - 1)
		}
	}
	w.head(tagPixelData, "OB", undefinedLength)
	w.item(tagItem, 0) // an empty offset table
	w.item(tagItem, 0)
	start := len(w.buf)
	// T.81 starts at 2 bits a sample.
	buf, err := jpegll.Encode(w.buf, pix, c.Rows, c.Columns, &jpegll.EncodeOptions{Precision: max(stored, 2)})
	if err != nil {
		return fmt.Errorf("dicom: %w", err)
	}
	if (len(buf)-start)%2 == 1 {
		buf = append(buf, 0)
	}
	binary.LittleEndian.PutUint32(buf[start-4:], uint32(len(buf)-start))
	w.buf = buf
	w.item(tagSequenceEnd, 0)
	return nil
}

// writer appends data elements, little endian. The caller keeps the order of tags.
type writer struct {
	buf      []byte
	implicit bool
}

// head appends an element's tag, VR and length (PS3.5, section 7.1).
func (w *writer) head(t tag, vr string, length uint32) {
	le := binary.LittleEndian
	w.buf = le.AppendUint16(w.buf, t.group())
	w.buf = le.AppendUint16(w.buf, t.element())
	switch {
	case w.implicit:
		w.buf = le.AppendUint32(w.buf, length)
	case vr == "OB" || vr == "OW" || vr == "SQ":
		w.buf = append(w.buf, vr[0], vr[1], 0, 0)
		w.buf = le.AppendUint32(w.buf, length)
	default:
		w.buf = append(w.buf, vr...)
		w.buf = le.AppendUint16(w.buf, uint16(length))
	}
}

// item appends the head of an item or a delimiter, which never have a VR.
func (w *writer) item(t tag, length uint32) {
	le := binary.LittleEndian
	w.buf = le.AppendUint16(w.buf, t.group())
	w.buf = le.AppendUint16(w.buf, t.element())
	w.buf = le.AppendUint32(w.buf, length)
}

func (w *writer) bytes(t tag, vr string, value []byte) {
	w.head(t, vr, uint32(len(value)))
	w.buf = append(w.buf, value...)
}

// text appends the values joined by backslashes and padded to an even length, UIDs with a zero byte
// (PS3.5, section 6.2).
func (w *writer) text(t tag, vr string, values ...string) {
	s := strings.Join(values, `\`)
	if len(s)%2 == 1 {
		if vr == "UI" {
			s += "\x00"
		} else {
			s += " "
		}
	}
	w.head(t, vr, uint32(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *writer) optional(t tag, vr, value string) {
	if value != "" {
		w.text(t, vr, value)
	}
}

func (w *writer) short(t tag, vr string, v uint16) {
	w.head(t, vr, 2)
	w.buf = binary.LittleEndian.AppendUint16(w.buf, v)
}

func (w *writer) positive(t tag, v float64) {
	if v > 0 {
		w.decimals(t, v)
	}
}

func (w *writer) decimals(t tag, values ...float64) {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = decimalString(v)
	}
	w.text(t, "DS", texts...)
}

// words appends pixel data, four samples at a time.
func (w *writer) words(t tag, pix []uint16) {
	w.head(t, "OW", uint32(2*len(pix)))
	at := len(w.buf)
	w.buf = append(w.buf, make([]byte, 2*len(pix))...)
	out := w.buf[at:]
	for ; len(pix) >= 8 && len(out) >= 16; pix, out = pix[8:], out[16:] {
		p := (*[8]uint16)(pix)
		binary.LittleEndian.PutUint64(out[:8], uint64(p[0])|uint64(p[1])<<16|uint64(p[2])<<32|uint64(p[3])<<48)
		binary.LittleEndian.PutUint64(out[8:16], uint64(p[4])|uint64(p[5])<<16|uint64(p[6])<<32|uint64(p[7])<<48)
	}
	for i, v := range pix {
		binary.LittleEndian.PutUint16(out[2*i:], v)
	}
}

// decimalString writes v as a DS value: the shortest text that reads back as v, or the most digits that
// fit the 16 characters a DS may have.
func decimalString(v float64) string {
	s := strconv.FormatFloat(v, 'g', -1, 64)
	for digits := 15; len(s) > 16; digits-- {
		s = strconv.FormatFloat(v, 'g', digits, 64)
	}
	return s
}
