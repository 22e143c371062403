package dicom

import (
	"bytes"
	"slices"
	"testing"

	"github.com/cspine/cspine/internal/dicom/jpegll"
)

// enhanced is an object of several frames, whose values are their number, from 1 on, but for the first.
type enhanced struct {
	frames     int
	syntax     TransferSyntax
	undefined  bool // lengths of sequences and items
	table      bool // an offset table, where pixel data are encapsulated
	everywhere bool // orientation and spacing with each frame, and not shared
	groups     int  // for so many frames; 0 means all
}

func (e enhanced) file(t testing.TB) []byte {
	t.Helper()
	const side = 8
	w := &writer{buf: make([]byte, 132)}
	copy(w.buf[128:], "DICM")
	w.text(tagTransferSyntax, "UI", string(e.syntax))
	w.implicit = e.syntax == ImplicitLittleEndian
	w.text(tagSOPClassUID, "UI", "1.2.840.10008.5.1.4.1.1.2.1")
	w.text(tagModality, "CS", "CT")
	w.text(tagStudyUID, "UI", "1.2.3")
	w.text(tagSeriesUID, "UI", "1.2.3.4")
	w.short(tagSamples, "US", 1)
	w.text(tagPhotometric, "CS", "MONOCHROME2")
	w.text(tagFrames, "IS", decimalString(float64(e.frames)))
	w.short(tagRows, "US", side)
	w.short(tagColumns, "US", side)
	w.short(tagBitsAllocated, "US", 16)
	w.short(tagBitsStored, "US", 12)
	w.short(tagHighBit, "US", 11)
	w.short(tagRepresent, "US", 0)
	sequence := func(t tag, items ...func()) {
		w.head(t, "SQ", undefinedLength)
		begin := len(w.buf)
		for _, f := range items {
			w.item(tagItem, undefinedLength)
			from := len(w.buf)
			f()
			if e.undefined {
				w.item(tagItemEnd, 0)
			} else {
				w32(w.buf[from-4:], len(w.buf)-from)
			}
		}
		if e.undefined {
			w.item(tagSequenceEnd, 0)
		} else {
			w32(w.buf[begin-4:], len(w.buf)-begin)
		}
	}
	still := func() {
		sequence(tagPlaneOrientation, func() { w.decimals(tagOrientation, 1, 0, 0, 0, 1, 0) })
		sequence(tagPixelMeasures, func() { w.decimals(tagThickness, 2); w.decimals(tagPixelSpacing, 0.5, 0.25) })
	}
	sequence(tagShared, func() {
		sequence(0x00189477, func() { w.text(0x00083010, "UI", "1.2.3.5"); w.decimals(tagPosition, 9, 9, 9) }) // no place for it
		if !e.everywhere {
			still()
		}
		sequence(tagPixelValues, func() { w.decimals(tagIntercept, -1000); w.decimals(tagSlope, 2) })
	})
	n := e.groups
	if n == 0 {
		n = e.frames
	}
	var each []func()
	for k := range n {
		each = append(each, func() {
			sequence(tagPlanePosition, func() { w.decimals(tagPosition, 10, 20, float64(100-3*k)) })
			if e.everywhere {
				still()
			}
		})
	}
	sequence(tagPerFrame, each...)
	var images [][]byte
	pix := make([]uint16, side*side)
	for k := range e.frames {
		for i := range pix {
			pix[i] = uint16(k + 1)
		}
		pix[0] = 7
		if e.syntax.encapsulated() {
			b, err := jpegll.Encode(nil, pix, side, side, &jpegll.EncodeOptions{Precision: 12})
			if err != nil {
				t.Fatal(err)
			}
			images = append(images, append(b, make([]byte, len(b)%2)...))
			continue
		}
		var b writer
		b.words(tagPixelData, pix)
		images = append(images, b.buf[12:])
	}
	if !e.syntax.encapsulated() {
		all := bytes.Join(images, nil)
		w.head(tagPixelData, "OW", uint32(len(all)))
		w.buf = append(w.buf, all...)
		return w.buf
	}
	w.head(tagPixelData, "OB", undefinedLength)
	var parts [][]byte
	var table []byte
	at := 0
	for _, image := range images {
		table = append(table, make([]byte, 4)...)
		w32(table[len(table)-4:], at)
		if !e.table {
			parts = append(parts, image)
			continue
		}
		half := len(image) / 4 * 2
		parts = append(parts, image[:half], image[half:])
		at += 16 + len(image)
	}
	if !e.table {
		table = nil
	}
	w.item(tagItem, uint32(len(table)))
	w.buf = append(w.buf, table...)
	for _, p := range parts {
		w.item(tagItem, uint32(len(p)))
		w.buf = append(w.buf, p...)
	}
	w.item(tagSequenceEnd, 0)
	return w.buf
}

func w32(b []byte, n int) { b[0], b[1], b[2], b[3] = byte(n), byte(n>>8), byte(n>>16), byte(n>>24) }

func TestFramesOfEnhancedObjectsAreSlices(t *testing.T) {
	for _, e := range []enhanced{
		{frames: 3, syntax: ExplicitLittleEndian},
		{frames: 3, syntax: ExplicitLittleEndian, undefined: true},
		{frames: 3, syntax: ImplicitLittleEndian},
		{frames: 3, syntax: ImplicitLittleEndian, undefined: true, everywhere: true},
		{frames: 4, syntax: JPEGLosslessSV1},
		{frames: 4, syntax: JPEGLosslessSV1, table: true, everywhere: true},
		{frames: 1, syntax: ExplicitLittleEndian},
	} {
		file := e.file(t)
		h, err := ReadHeader(bytes.NewReader(file), int64(len(file)), nil)
		if err != nil {
			t.Errorf("%+v: %v", e, err)
			continue
		}
		all, err := h.Split()
		if err != nil || len(all) != e.frames {
			t.Errorf("%+v: %d headers, %v", e, len(all), err)
			continue
		}
		for k, one := range all {
			want := *h
			want.InstanceNumber, want.HasInstanceNumber, want.HasGeometry = k+1, true, true
			want.PositionMM, want.Orientation = [3]float64{10, 20, float64(100 - 3*k)}, [6]float64{1, 0, 0, 0, 1, 0}
			want.SpacingMM, want.ThicknessMM, want.Slope, want.Intercept = [2]float64{0.5, 0.25}, 2, 2, -1000
			want.Pixels, want.frames, want.places = one.Pixels, nil, nil
			if !sameHeader(&want, one) {
				t.Errorf("%+v, frame %d: %+v", e, k, one)
			}
			value, err := one.Pixels.Value(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := DecodeFrame(value, one.Pixels, 0, nil)
			if err != nil || s.Pix[0] != 7 || s.Pix[1] != uint16(k+1) || slices.Max(s.Pix[1:]) != uint16(k+1) {
				t.Errorf("%+v, frame %d: %v, %v", e, k, s.Pix, err)
			}
		}
	}
}

func sameHeader(a, b *Header) bool {
	x, y := *a, *b
	return x.PositionMM == y.PositionMM && x.Orientation == y.Orientation && x.HasGeometry == y.HasGeometry && x.SpacingMM == y.SpacingMM &&
		x.ThicknessMM == y.ThicknessMM && x.Slope == y.Slope && x.Intercept == y.Intercept && x.InstanceNumber == y.InstanceNumber &&
		x.HasInstanceNumber == y.HasInstanceNumber && x.StudyUID == y.StudyUID && x.Modality == y.Modality && x.Pixels == y.Pixels
}

func TestGroupsForOtherFramesAreRefused(t *testing.T) {
	file := enhanced{frames: 3, syntax: ExplicitLittleEndian, groups: 2}.file(t)
	h, err := ReadHeader(bytes.NewReader(file), int64(len(file)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Split(); codeOf(err) != Malformed {
		t.Error(err)
	}
	// Without groups there is nothing to split by.
	c := mustEncode(t, phantomSlice(16, 16, true), ExplicitLittleEndian)
	if h, _, err = readBack(c, nil); err != nil {
		t.Fatal(err)
	}
	if all, err := h.Split(); all != nil || err != nil {
		t.Errorf("%v, %v", all, err)
	}
}

func TestMutantsOfGroupsNeverPanic(t *testing.T) {
	for _, e := range []enhanced{{frames: 3, syntax: ExplicitLittleEndian}, {frames: 3, syntax: ImplicitLittleEndian, undefined: true}, {frames: 3, syntax: JPEGLosslessSV1, table: true}} {
		file := e.file(t)
		for at := range file {
			for _, v := range []byte{0, 0xff, file[at] ^ 0x80, file[at] + 1} {
				b := bytes.Clone(file)
				b[at] = v
				h, err := ReadHeader(bytes.NewReader(b), int64(len(b)), nil)
				if err == nil {
					var all []*Header
					if all, err = h.Split(); err == nil {
						for _, one := range all {
							value, err := one.Pixels.Value(b)
							if err == nil {
								_, err = DecodeFrame(value, one.Pixels, 0, nil)
							}
							if err != nil && codeOf(err) == "" {
								t.Fatalf("byte %d as %#x: an error without a code: %v", at, v, err)
							}
						}
					}
				}
				if err != nil && codeOf(err) == "" {
					t.Fatalf("byte %d as %#x: an error without a code: %v", at, v, err)
				}
			}
		}
		for n := range file {
			if _, err := ReadHeader(bytes.NewReader(file[:n]), int64(n), nil); codeOf(err) == "" {
				t.Fatalf("%d of %d bytes: error %v", n, len(file), err)
			}
		}
	}
}
