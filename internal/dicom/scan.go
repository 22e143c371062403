package dicom

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// wanted are the elements the library gets to parse, with the VR they are rewritten with.
var wanted = map[tag]string{
	tagImageType: "CS", tagSOPClassUID: "UI", tagSOPInstanceUID: "UI", tagModality: "CS", tagManufacturer: "LO",
	tagThickness: "DS", tagGantryTilt: "DS", tagKernel: "SH",
	tagStudyUID: "UI", tagSeriesUID: "UI", tagInstanceNumber: "IS", tagPosition: "DS", tagOrientation: "DS", tagFrameOfRef: "UI",
	tagSamples: "US", tagPhotometric: "CS", tagFrames: "IS", tagRows: "US", tagColumns: "US", tagPixelSpacing: "DS",
	tagBitsAllocated: "US", tagBitsStored: "US", tagHighBit: "US", tagRepresent: "US",
	tagPadding: "US", tagIntercept: "DS", tagSlope: "DS",
}

// scanner walks the data elements of a file, keeps the wanted ones and finds the pixel data.
type scanner struct {
	source
	syntax   TransferSyntax
	implicit bool             // the data set's form of elements
	order    binary.ByteOrder // of the meta information, then of the data set
	deflated int64            // where a deflated data set begins, else 0
	limits   Limits           // all set
	elements int              // seen so far
	depth    int              // of sequences and items that are gone into

	found  []foundElement
	values []byte // of the found elements, one behind the other

	shared, each []group // of several frames

	visit func(head) error // is told of the meta information's elements, where it is set

	pixels head    // of the pixel data element; tag 0 when there is none
	places *places // of its fragments, where there are several frames
}

// foundElement is a wanted element: values[from:to], which lies at offset in the file.
type foundElement struct {
	tag      tag
	offset   int64
	from, to int
}

// head is a data element without its value.
type head struct {
	tag    tag
	vr     [2]byte // zero in implicit form
	length uint32  // of the value, undefinedLength possible
	value  int64   // offset of the value
}

var scannerPool = sync.Pool{New: func() any { return new(scanner) }}

func getScanner(r io.ReaderAt, size int64, limits Limits) *scanner {
	s := scannerPool.Get().(*scanner)
	s.reset(r, size)
	s.limits, s.elements, s.depth = limits.WithDefaults(), 0, 0
	s.syntax, s.implicit, s.pixels = "", false, head{}
	s.order, s.deflated = binary.LittleEndian, 0
	s.found, s.values = s.found[:0], s.values[:0]
	s.shared, s.each, s.places, s.visit = nil, nil, nil, nil
	return s
}

// release returns the scanner to its pool, without what it read: a header is of a patient.
func (s *scanner) release() {
	clear(s.values[:cap(s.values)])
	clear(s.buf)
	s.reset(nil, 0)
	scannerPool.Put(s)
}

// scan walks the top level of the data set to the pixel data or the end.
func (s *scanner) scan() error {
	off, err := s.begin()
	if err != nil {
		return err
	}
	for off < s.size {
		h, err := s.head(off, s.implicit)
		if err != nil {
			return err
		}
		switch h.tag {
		case tagPixelData, tagFloatPixels, tagDoublePixels:
			s.pixels = h
			return nil
		case tagShared:
			if s.shared, off, err = s.groups(h, s.implicit); err != nil {
				return err
			}
			continue
		case tagPerFrame:
			if s.each, off, err = s.groups(h, s.implicit); err != nil {
				return err
			}
			continue
		}
		if off, err = s.pass(h, s.implicit, true); err != nil {
			return err
		}
	}
	return nil
}

// begin finds the start of the data set and its transfer syntax.
func (s *scanner) begin() (int64, error) {
	if s.size <= 0 {
		return 0, &Error{Code: Empty, Detail: "the file has no bytes", Remedy: remedyCopyAgain}
	}
	off := int64(0)
	if s.size >= 132 {
		b, err := s.bytes(0, 0, 132)
		if err != nil {
			return 0, err
		}
		if string(b[128:132]) == "DICM" {
			off = 132
		}
	}
	if off == 0 && !s.looksBare() {
		return 0, &Error{Code: NotDICOM, Detail: "neither the DICM prefix nor a data element at the start",
			Remedy: "leave other files out of the study's folder"}
	}
	off, err := s.meta(off)
	if err != nil {
		return 0, err
	}
	switch s.syntax {
	case "": // no meta information says it: PS3.10 asks for it, old files lack it
		s.syntax = ImplicitLittleEndian
		if b, err := s.bytes(0, off, 6); err == nil && knownVR(b[4], b[5]) {
			s.syntax = ExplicitLittleEndian
		}
	case ExplicitBigEndian:
		s.order = binary.BigEndian
	case DeflatedLittleEndian:
		whole, err := inflate(s.r, off, s.size, s.limits.Bytes)
		if err != nil {
			return 0, err
		}
		s.deflated = off
		s.reset(whole, off+int64(len(whole.data)))
	}
	if _, known := syntaxNames[s.syntax]; !known {
		return 0, s.syntax.unsupported()
	}
	s.implicit = s.syntax == ImplicitLittleEndian
	return off, nil
}

// looksBare says whether the file starts with a data element, without the preamble of PS3.10: of group 2,
// or with one of group 8 whose length fits.
func (s *scanner) looksBare() bool {
	b, err := s.bytes(0, 0, 8)
	if err != nil {
		return false
	}
	le := binary.LittleEndian
	group, element := le.Uint16(b), le.Uint16(b[2:])
	switch {
	case group == 2 && element <= 0x0102:
		return knownVR(b[4], b[5])
	case group == 8 && element <= 0x0090:
		return knownVR(b[4], b[5]) || int64(le.Uint32(b[4:])) <= min(s.size-8, maxValue)
	}
	return false
}

// meta walks the file meta information, group 2, which is explicit little endian always.
func (s *scanner) meta(off int64) (int64, error) {
	for off < s.size {
		b, err := s.bytes(tagMetaLength, off, 2)
		if err != nil {
			return 0, err
		}
		if binary.LittleEndian.Uint16(b) != 2 {
			return off, nil
		}
		h, err := s.head(off, false)
		if err != nil {
			return 0, err
		}
		if s.visit != nil {
			if err := s.visit(h); err != nil {
				return 0, err
			}
		}
		if h.tag == tagTransferSyntax {
			if h.length > 64 {
				return 0, malformed(h.tag, h.value, "a UID of %d bytes", h.length)
			}
			v, err := s.bytes(h.tag, h.value, int(h.length))
			if err != nil {
				return 0, err
			}
			s.syntax = TransferSyntax(trim(string(v)))
			if !isUID(string(s.syntax)) {
				return 0, malformed(h.tag, h.value, "the transfer syntax is not a UID")
			}
		}
		if off, err = s.pass(h, false, false); err != nil {
			return 0, err
		}
	}
	return off, nil
}

// head reads the head of the element at off.
func (s *scanner) head(off int64, implicit bool) (head, error) {
	b, err := s.bytes(0, off, 8)
	if err != nil {
		return head{}, err
	}
	h := head{tag: tag(s.order.Uint16(b))<<16 | tag(s.order.Uint16(b[2:])), value: off + 8}
	if s.elements++; s.elements > s.limits.Elements {
		return head{}, overLimit("elements", h.tag, off, "more than %d elements before the pixel data", s.limits.Elements)
	}
	if implicit || h.tag.group() == tagItem.group() {
		h.length = s.order.Uint32(b[4:])
	} else {
		h.vr = [2]byte{b[4], b[5]}
		switch {
		case !knownVR(b[4], b[5]):
			return head{}, malformed(h.tag, off, "the element has no valid value representation")
		case longVR(h.vr):
			if b, err = s.bytes(h.tag, off, 12); err != nil {
				return head{}, err
			}
			h.length, h.value = s.order.Uint32(b[8:]), off+12
		default:
			h.length = uint32(s.order.Uint16(b[6:]))
		}
	}
	if h.length != undefinedLength && int64(h.length) > s.size-h.value {
		return head{}, truncated(h.tag, h.value, "the value should have %d bytes, the file has %d more", h.length, s.size-h.value)
	}
	return h, nil
}

// pass moves behind an element, and keeps its value if asked and wanted.
func (s *scanner) pass(h head, implicit, keep bool) (int64, error) {
	if h.tag.group() == tagItem.group() {
		return 0, malformed(h.tag, h.value, "an item or a delimiter outside of a sequence")
	}
	if h.length == undefinedLength {
		// The content of an unknown VR is implicit (PS3.5, section 6.2.2).
		return s.sequence(h, implicit || string(h.vr[:]) == "UN")
	}
	if keep && h.length > 0 {
		if _, ok := wanted[h.tag]; ok {
			if err := s.keep(h); err != nil {
				return 0, err
			}
		}
	}
	return h.value + int64(h.length), nil
}

// keep copies the value of a wanted element.
func (s *scanner) keep(h head) error {
	if h.length > maxValue {
		return malformed(h.tag, h.value, "a value of %d bytes, at most %d are read", h.length, maxValue)
	}
	for i := range s.found {
		if s.found[i].tag == h.tag {
			return malformed(h.tag, h.value, "the element is there twice")
		}
	}
	if wanted[h.tag] == "US" && h.length != 2 {
		return malformed(h.tag, h.value, "a number of %d bytes, must be 2", h.length)
	}
	v, err := s.bytes(h.tag, h.value, int(h.length))
	if err != nil {
		return err
	}
	from := len(s.values)
	if wanted[h.tag] == "US" {
		s.values = binary.LittleEndian.AppendUint16(s.values, s.order.Uint16(v)) // as rewrite writes it
	} else {
		s.values = append(s.values, v...)
	}
	s.found = append(s.found, foundElement{h.tag, h.value, from, len(s.values)})
	return nil
}

// sequence moves behind a sequence of undefined length (PS3.5, section 7.5). Items and elements of defined
// length are stepped over; only undefined lengths nest.
func (s *scanner) sequence(of head, implicit bool) (int64, error) {
	if err := s.deeper(1, of.tag, of.value); err != nil {
		return 0, err
	}
	type level struct{ item, implicit bool }
	stack := make([]level, 1, defaultDepth) // so many are not on the heap
	stack[0] = level{implicit: implicit}
	off := of.value
	for len(stack) > 0 {
		top := stack[len(stack)-1]
		h, err := s.head(off, top.implicit)
		if err != nil {
			return 0, err
		}
		off = h.value
		next := top
		switch {
		case top.item && h.tag == tagItemEnd, !top.item && h.tag == tagSequenceEnd:
			stack = stack[:len(stack)-1]
			continue
		case top.item == (h.tag.group() == tagItem.group()):
			return 0, malformed(h.tag, h.value, "not allowed at its place in the sequence %s", of.tag)
		case h.length != undefinedLength:
			off += int64(h.length)
			continue
		case top.item:
			next = level{implicit: top.implicit || string(h.vr[:]) == "UN"}
		default:
			next.item = true
		}
		if err := s.deeper(len(stack)+1, of.tag, h.value); err != nil {
			return 0, err
		}
		stack = append(stack, next)
	}
	return off, nil
}

// deeper refuses to go so many levels deeper, at an offset in a sequence.
func (s *scanner) deeper(levels int, t tag, offset int64) error {
	if s.depth+levels > s.limits.Depth {
		return overLimit("depth", t, offset, "sequences and their items are nested more than %d deep", s.limits.Depth)
	}
	return nil
}

// knownVR says whether two bytes are a value representation (PS3.5, section 6.2).
func knownVR(a, b byte) bool {
	switch string([]byte{a, b}) {
	case "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "OB", "OD", "OF", "OL", "OV", "OW",
		"PN", "SH", "SL", "SQ", "SS", "ST", "SV", "TM", "UC", "UI", "UL", "UN", "UR", "US", "UT", "UV":
		return true
	}
	return false
}

// longVR says whether the VR has a length field of 32 bits (PS3.5, table 7.1-1).
func longVR(vr [2]byte) bool {
	switch string(vr[:]) {
	case "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV":
		return true
	}
	return false
}

// unsupported is the error of a syntax that is not read.
func (ts TransferSyntax) unsupported() error {
	return &Error{Code: UnsupportedSyntax, Tag: tagTransferSyntax.String(),
		Detail: fmt.Sprintf("%s (%s) is not read", ts, ts.Name()), Remedy: remedyTranscode}
}
