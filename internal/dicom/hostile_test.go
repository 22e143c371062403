package dicom

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// part10 is a file of the explicit syntax that ends after its meta information.
func part10(ts TransferSyntax) *writer {
	w := &writer{buf: make([]byte, 132)}
	copy(w.buf[128:], "DICM")
	w.text(tagTransferSyntax, "UI", string(ts))
	return w
}

func TestTruncatedSlicesNeverRead(t *testing.T) {
	for _, ts := range syntaxes {
		file := mustEncode(t, phantomSlice(16, 16, true), ts)
		for n := range file {
			if _, _, err := readBack(file[:n], nil); codeOf(err) == "" {
				t.Fatalf("%s: %d of %d bytes: error %v", ts.Name(), n, len(file), err)
			}
		}
		// The file may also shrink between the listing and the read.
		h, err := ReadHeader(bytes.NewReader(file[:len(file)-100]), int64(len(file)), nil)
		if ts.encapsulated() && codeOf(err) != Truncated {
			t.Errorf("%s: a shrunk file reads as %v, %v", ts.Name(), h, err)
		}
	}
}

func TestTruncatedJPEG2000IsTruncated(t *testing.T) {
	file, err := os.ReadFile(filepath.Join("testdata", "pydicom", "MR_small_jp2klossless.dcm"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := ReadHeader(bytes.NewReader(file), int64(len(file)), &Options{HeaderOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	_, items, err := readItems(file[h.Pixels.Offset:], false)
	if err != nil || len(items) != 1 {
		t.Fatalf("%d fragments, %v", len(items), err)
	}
	image := items[0].data
	f := h.Pixels
	f.Bare = true
	end := bytes.LastIndex(image, []byte{0xff, 0xd9}) // the marker that ends it
	for n := 0; n < end; n += 7 {
		w := &writer{}
		w.item(tagItem, uint32(n))
		if _, err := DecodeFrame(append(w.buf, image[:n]...), f, 0, nil); codeOf(err) != Truncated {
			t.Fatalf("%d of %d bytes: %v", n, len(image), err)
		}
	}
}

func TestMutantsNeverPanic(t *testing.T) {
	r := rand.New(rand.NewSource(5))
	for _, ts := range syntaxes {
		file := mustEncode(t, phantomSlice(16, 12, true), ts)
		for range 3000 {
			b := bytes.Clone(file)
			for range 1 + r.Intn(4) {
				b[r.Intn(len(b))] = byte(r.Intn(256))
			}
			if _, _, err := readBack(b, nil); err != nil && codeOf(err) == "" {
				t.Fatalf("%s: an error without a code: %v", ts.Name(), err)
			}
		}
	}
}

// hostile are small files that claim much, with the code they must be refused with.
var hostile = []struct {
	name, code string
	file       func() []byte
}{
	{"no byte", Empty, func() []byte { return nil }},
	{"a text", NotDICOM, func() []byte { return []byte(strings.Repeat("a text, not a slice\n", 50)) }},
	{"zeros", NotDICOM, func() []byte { return make([]byte, 1000) }},
	{"only the prefix", NotCT, func() []byte { return part10(ExplicitLittleEndian).buf }},
	{"184 bytes with a value of 3.8 GB", Truncated, func() []byte {
		w := part10(ExplicitLittleEndian)
		w.head(tagImageType, "OB", 0xe0000000)
		return append(w.buf, make([]byte, 184-len(w.buf))...)
	}},
	{"an item of 3.8 GB", Truncated, func() []byte {
		w := part10(ExplicitLittleEndian)
		w.head(0x00081140, "OB", undefinedLength)
		w.item(tagItem, 0xe0000000)
		return append(w.buf, make([]byte, 100)...)
	}},
	{"40 KB of nested sequences, explicit", OverLimit, func() []byte { return nested(ExplicitLittleEndian) }},
	{"40 KB of nested sequences, implicit", OverLimit, func() []byte { return nested(ImplicitLittleEndian) }},
	{"elements without end", OverLimit, func() []byte {
		w := part10(ExplicitLittleEndian)
		for range defaultElements + 1 {
			w.text(0x00090010, "LO")
		}
		return w.buf
	}},
	{"a position of 60 KB", Malformed, func() []byte {
		w := part10(ExplicitLittleEndian)
		w.text(tagPosition, "DS", strings.Repeat("1", 60000))
		return w.buf
	}},
	{"a transfer syntax nobody knows", UnsupportedSyntax, func() []byte { return part10("1.2.3.4").buf }},
	{"big endian, and nothing more", NotCT, func() []byte { return part10(ExplicitBigEndian).buf }},
	{"deflated, and nothing more", Truncated, func() []byte { return part10(DeflatedLittleEndian).buf }},
	{"deflated, and something else", Malformed, func() []byte { return append(part10(DeflatedLittleEndian).buf, "\xff\xff\xff\xff"...) }},
	{"deflated without end", Truncated, func() []byte { return append(part10(DeflatedLittleEndian).buf, deflated(make([]byte, 1000))[:5]...) }},
	{"a transfer syntax that is a name", Malformed, func() []byte { return part10("SMITH^JOHN").buf }},
	{"a delimiter outside of a sequence", Malformed, func() []byte {
		w := part10(ExplicitLittleEndian)
		w.item(tagItemEnd, 0)
		return w.buf
	}},
	{"an element twice", Malformed, func() []byte {
		w := part10(ExplicitLittleEndian)
		w.text(tagModality, "CS", "CT")
		w.text(tagModality, "CS", "MR")
		return w.buf
	}},
	{"another modality", NotCT, edited(func(c *CT) { c.Modality = "MR" })},
	{"no pixels", NoPixels, func() []byte {
		w := part10(ExplicitLittleEndian)
		w.text(tagModality, "CS", "CT")
		return w.buf
	}},
	{"65535 x 65535 in few bytes", Truncated, replaced(ExplicitLittleEndian,
		"\x28\x00\x10\x00US\x02\x00\x10\x00\x28\x00\x11\x00US\x02\x00\x10\x00",
		"\x28\x00\x10\x00US\x02\x00\xff\xff\x28\x00\x11\x00US\x02\x00\xff\xff")},
	{"fewer rows than pixels", Malformed, replaced(ExplicitLittleEndian,
		"\x28\x00\x10\x00US\x02\x00\x10\x00", "\x28\x00\x10\x00US\x02\x00\x08\x00")},
	{"colour", UnsupportedPixels, replaced(ExplicitLittleEndian,
		"\x28\x00\x02\x00US\x02\x00\x01\x00", "\x28\x00\x02\x00US\x02\x00\x03\x00")},
	{"high bit not above the others", UnsupportedPixels, replaced(ExplicitLittleEndian,
		"\x28\x00\x02\x01US\x02\x00\x0f\x00", "\x28\x00\x02\x01US\x02\x00\x07\x00")},
	{"a slope that is no number", Malformed, replaced(ExplicitLittleEndian, "DS\x02\x001 \x28\x00\x54\x10", "DS\x02\x00x \x28\x00\x54\x10")},
	{"a representation of 2", Malformed, replaced(ExplicitLittleEndian,
		"\x28\x00\x03\x01US\x02\x00\x01\x00", "\x28\x00\x03\x01US\x02\x00\x02\x00")},
}

func deflated(b []byte) []byte {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		panic(err)
	}
	if _, err := w.Write(b); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func TestABombIsNotInflated(t *testing.T) {
	file := part10(DeflatedLittleEndian).buf
	file = append(file, deflated(make([]byte, 300<<20))...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := ReadHeader(bytes.NewReader(file), int64(len(file)), nil)
	runtime.ReadMemStats(&after)
	if codeOf(err) != Malformed {
		t.Errorf("error %v", err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 6*inflatedRoom {
		t.Errorf("%d MiB allocated in all for a file of %d", got>>20, len(file))
	}
}

func nested(ts TransferSyntax) []byte {
	w := part10(ts)
	w.implicit = ts == ImplicitLittleEndian
	for len(w.buf) < 40_000 {
		w.head(0x00081140, "OB", undefinedLength)
		w.item(tagItem, undefinedLength)
	}
	return w.buf
}

func edited(edit func(c *CT)) func() []byte {
	return func() []byte {
		c := phantomSlice(16, 16, true)
		edit(c)
		b, err := c.Encode(ExplicitLittleEndian)
		if err != nil {
			panic(err)
		}
		return b
	}
}

func replaced(ts TransferSyntax, old, new string) func() []byte {
	return func() []byte {
		b, err := phantomSlice(16, 16, true).Encode(ts)
		if err != nil || bytes.Count(b, []byte(old)) != 1 {
			panic("the slice has not the bytes to replace")
		}
		return bytes.Replace(b, []byte(old), []byte(new), 1)
	}
}

func TestHostileFilesAreRefusedByCode(t *testing.T) {
	for _, h := range hostile {
		_, _, err := readBack(h.file(), nil)
		if codeOf(err) != h.code {
			t.Errorf("%s: error %v, want %s", h.name, err, h.code)
		}
	}
}

func TestHostileFilesCostNoMemory(t *testing.T) {
	for _, h := range hostile {
		file := h.file()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, _ = readBack(file, nil)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
			t.Errorf("%s: %d bytes allocated for a file of %d", h.name, got, len(file))
		}
	}
}

func TestDecodeFrameAllocatesNotBeforeTheBytesAreThere(t *testing.T) {
	for _, ts := range syntaxes {
		h, _, err := readBack(mustEncode(t, phantomSlice(16, 16, true), ts), nil)
		if err != nil {
			t.Fatal(err)
		}
		f := h.Pixels
		f.Rows, f.Columns = 65535, 65535
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = DecodeFrame(make([]byte, 1000), f, 0, nil)
		runtime.ReadMemStats(&after)
		if codeOf(err) == "" || after.TotalAlloc-before.TotalAlloc > 1<<20 {
			t.Errorf("%s: error %v, %d bytes", ts.Name(), err, after.TotalAlloc-before.TotalAlloc)
		}
	}
}

func TestErrorsCarryNoPatientValue(t *testing.T) {
	const secret = "SECRET^NAME"
	for _, at := range []tag{tagModality, tagStudyUID, tagSOPInstanceUID, tagSlope, tagInstanceNumber, tagPhotometric, tagPosition, tagFrames, tagImageType} {
		w := part10(ExplicitLittleEndian)
		if at != tagModality {
			w.text(tagModality, "CS", "CT")
		}
		w.text(at, wanted[at], secret)
		_, err := ReadHeader(bytes.NewReader(w.buf), int64(len(w.buf)), nil)
		if err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: error %v", at, err)
		}
	}
}

type failingReader struct{}

var errDisk = errors.New("disk on fire")

func (failingReader) ReadAt([]byte, int64) (int, error) { return 0, errDisk }

func TestReadErrorsAreNotTheFilesFault(t *testing.T) {
	_, err := ReadHeader(failingReader{}, 1000, nil)
	if !errors.Is(err, errDisk) || codeOf(err) != "" {
		t.Errorf("error %v", err)
	}
}

// countingReader counts the bytes that are asked for.
type countingReader struct {
	io.ReaderAt
	n int
}

func (c *countingReader) ReadAt(b []byte, off int64) (int, error) {
	c.n += len(b)
	return c.ReaderAt.ReadAt(b, off)
}

func TestReadHeaderReadsNoPixels(t *testing.T) {
	for _, ts := range syntaxes {
		file := mustEncode(t, phantomSlice(512, 16, true), ts)
		r := &countingReader{ReaderAt: bytes.NewReader(file)}
		if _, err := ReadHeader(r, int64(len(file)), nil); err != nil {
			t.Fatal(err)
		}
		if r.n > blockSize+8 {
			t.Errorf("%s: %d bytes read", ts.Name(), r.n)
		}
	}
}

func TestForeignElementsAreSteppedOver(t *testing.T) {
	const sequenceTag, privateTag = tag(0x00081140), tag(0x00091001)
	for _, ts := range []TransferSyntax{ImplicitLittleEndian, ExplicitLittleEndian} {
		file := mustEncode(t, phantomSlice(16, 16, true), ts)
		start := 132 + 12 + int(file[140]) // behind the meta information
		w := writer{buf: bytes.Clone(file[:start]), implicit: ts == ImplicitLittleEndian}
		w.bytes(privateTag, "OB", make([]byte, 40_000)) // more than one block
		w.head(sequenceTag, "OB", undefinedLength)
		w.item(tagItem, undefinedLength)
		w.text(tagModality, "CS", "MR") // not the slice's own
		w.head(sequenceTag, "OB", undefinedLength)
		w.item(tagItem, 4)
		w.buf = append(w.buf, 1, 2, 3, 4)
		w.item(tagSequenceEnd, 0)
		w.item(tagItemEnd, 0)
		w.item(tagSequenceEnd, 0)
		if !w.implicit { // an unknown VR holds an implicit sequence
			w.buf = append(w.buf, 9, 0, 2, 0x10, 'U', 'N', 0, 0, 0xff, 0xff, 0xff, 0xff)
			w.item(tagItem, undefinedLength)
			w.implicit = true
			w.text(tagModality, "CS", "MR")
			w.item(tagItemEnd, 0)
			w.item(tagSequenceEnd, 0)
		}
		w.buf = append(w.buf, file[start:]...)
		h, s, err := readBack(w.buf, nil)
		if err != nil {
			t.Fatalf("%s: %v", ts.Name(), err)
		}
		_, want, _ := readBack(file, nil)
		if h.Modality != "CT" || !slices.Equal(s.Pix, want.Pix) {
			t.Errorf("%s: modality %s, or other samples", ts.Name(), h.Modality)
		}
	}
}

func TestBareDataSetsRead(t *testing.T) {
	for _, ts := range []TransferSyntax{ImplicitLittleEndian, ExplicitLittleEndian} {
		file := mustEncode(t, phantomSlice(16, 16, true), ts)
		h, _, err := readBack(file[132+12+int(file[140]):], nil)
		if err != nil || h.Pixels.TransferSyntax != ts {
			t.Errorf("%s without meta information: %v", ts.Name(), err)
		}
		if _, _, err := readBack(file[132:], nil); err != nil {
			t.Errorf("%s without preamble: %v", ts.Name(), err)
		}
	}
}

func FuzzReadHeader(f *testing.F) {
	for _, ts := range syntaxes {
		file := mustEncode(f, phantomSlice(8, 12, true), ts)
		f.Add(file)
		f.Add(file[132:])
	}
	for _, h := range hostile {
		if file := h.file(); len(file) < 50_000 {
			f.Add(file)
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		h, s, err := readBack(file, nil)
		if err != nil {
			if codeOf(err) == "" {
				t.Errorf("an error without a code: %v", err)
			}
			return
		}
		if len(s.Pix) != h.Pixels.Rows*h.Pixels.Columns {
			t.Errorf("%d samples for %+v", len(s.Pix), h.Pixels)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, ts := range syntaxes {
		file := mustEncode(f, phantomSlice(8, 12, true), ts)
		h, err := ReadHeader(bytes.NewReader(file), int64(len(file)), nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file[h.Pixels.Offset:], uint16(8), uint16(8), uint16(1), uint8(12), true, ts.encapsulated())
	}
	f.Fuzz(func(t *testing.T, value []byte, rows, columns, frames uint16, stored uint8, signed, encapsulated bool) {
		format := PixelFormat{
			TransferSyntax: ExplicitLittleEndian, Rows: int(rows), Columns: int(columns), Frames: int(frames), Samples: 1,
			BitsAllocated: 16, BitsStored: int(stored), HighBit: int(stored) - 1, Signed: signed, Photometric: "MONOCHROME2",
			Encapsulated: encapsulated,
		}
		if encapsulated {
			format.TransferSyntax = JPEGLossless
		}
		if stored <= 8 {
			format.BitsAllocated = 8
		}
		s, err := DecodeFrame(value, format, 0, nil)
		if err == nil && len(s.Pix) != int(rows)*int(columns) {
			t.Errorf("%d samples for %d x %d", len(s.Pix), rows, columns)
		}
	})
}
