package dicom

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// deepSlice is a slice that begins with so many sequences and items of undefined length, one within the other.
func deepSlice(t testing.TB, levels int) []byte {
	file := mustEncode(t, phantomSlice(16, 16, true), ExplicitLittleEndian)
	start := 132 + 12 + int(file[140]) // behind the meta information
	w := writer{buf: bytes.Clone(file[:start])}
	for level := range levels {
		if level%2 == 0 {
			w.head(0x00081140, "SQ", undefinedLength)
		} else {
			w.item(tagItem, undefinedLength)
		}
	}
	for level := levels - 1; level >= 0; level-- {
		w.item([]tag{tagSequenceEnd, tagItemEnd}[level%2], 0)
	}
	return append(w.buf, file[start:]...)
}

// manyElements is a slice with so many elements before its own.
func manyElements(t testing.TB, n int) []byte {
	file := mustEncode(t, phantomSlice(16, 16, true), ExplicitLittleEndian)
	start := 132 + 12 + int(file[140])
	w := writer{buf: bytes.Clone(file[:start])}
	for range n {
		w.text(0x00091010, "LO")
	}
	return append(w.buf, file[start:]...)
}

// fragmented is a slice of several frames whose pixel data are so many fragments.
func fragmented(t testing.TB, n int) []byte {
	file := replaced(JPEGLosslessSV1, "\x28\x00\x04\x00CS", "\x28\x00\x08\x00IS\x02\x002 \x28\x00\x04\x00CS")()
	h, err := ReadHeader(bytes.NewReader(file), int64(len(file)), &Options{HeaderOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	w := writer{buf: bytes.Clone(file[:h.Pixels.Offset])}
	w.item(tagItem, 0)
	for range n {
		w.item(tagItem, 2)
		w.buf = append(w.buf, 0xff, 0xd8)
	}
	w.item(tagSequenceEnd, 0)
	return w.buf
}

// deflatedSlice is a slice whose data set is deflated.
func deflatedSlice(t testing.TB, size int) []byte {
	file := mustEncode(t, phantomSlice(size, 16, true), ExplicitLittleEndian)
	return append(part10(DeflatedLittleEndian).buf, deflated(file[132+12+int(file[140]):])...)
}

func TestLimits(t *testing.T) {
	plain := mustEncode(t, phantomSlice(16, 16, true), ExplicitLittleEndian)
	h, _, err := readBack(plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	start := int64(132 + 12 + int(plain[140]))
	rows := int64(bytes.Index(plain, []byte("\x28\x00\x10\x00US\x02\x00"))) + 8
	inflatedBytes := int64(len(plain)) - start
	for _, c := range []struct {
		name   string
		file   []byte
		limits Limits
		tag    tag   // of the refusal; 0 and offset 0 where the file is read
		offset int64 // of the refusal
	}{
		{"as long as is allowed", plain, Limits{Bytes: int64(len(plain))}, 0, 0},
		{"a byte more", plain, Limits{Bytes: int64(len(plain)) - 1}, tagPixelData, h.Pixels.Offset},
		{"inflated as long as is allowed", deflatedSlice(t, 16), Limits{Bytes: inflatedBytes}, 0, 0},
		{"inflated to a byte more", deflatedSlice(t, 16), Limits{Bytes: inflatedBytes - 1}, 0, int64(len(part10(DeflatedLittleEndian).buf))},
		{"as deep as is allowed", deepSlice(t, 32), Limits{}, 0, 0},
		{"deeper", deepSlice(t, 33), Limits{}, 0x00081140, start + 16*(12+8) + 12},
		{"deeper, and allowed", deepSlice(t, 33), Limits{Depth: 33}, 0, 0},
		{"as deep as a lower limit", deepSlice(t, 2), Limits{Depth: 2}, 0, 0},
		{"deeper than a lower limit", deepSlice(t, 3), Limits{Depth: 2}, 0x00081140, start + 12 + 8 + 12},
		{"as many pixels as are allowed", plain, Limits{Pixels: 256}, 0, 0},
		{"a pixel more", plain, Limits{Pixels: 255}, tagRows, rows},
		{"as many elements as are allowed", manyElements(t, 500), Limits{Elements: 600}, 0, 0},
		{"more elements", manyElements(t, 500), Limits{Elements: 400}, 0x00091010, 0},
		{"more elements than by default", manyElements(t, 1<<16), Limits{}, 0x00091010, 0},
		{"more elements than by default, and allowed", manyElements(t, 1<<16), Limits{Elements: 1 << 17}, 0, 0},
	} {
		h, err := ReadHeader(bytes.NewReader(c.file), int64(len(c.file)), &Options{Limits: c.limits})
		if c.tag == 0 && c.offset == 0 {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			value, err := h.Pixels.Value(c.file)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			} else if _, err := DecodeFrame(value, h.Pixels, 0, nil); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Code != OverLimit || e.Tag != place(c.tag) || c.offset != 0 && e.Offset != c.offset || e.Offset == 0 {
			t.Errorf("%s: error %v, want %s at %s, byte %d", c.name, err, OverLimit, place(c.tag), c.offset)
		}
		_, err = Elements(bytes.NewReader(c.file), int64(len(c.file)), false, c.limits)
		if listed := c.limits.Pixels > 0 || c.tag == tagPixelData; listed != (err == nil) || !listed && codeOf(err) != OverLimit {
			t.Errorf("%s: its elements are listed with error %v", c.name, err)
		}
	}
}

func TestFragmentsAreLimitedAsElementsAre(t *testing.T) {
	file := fragmented(t, 300)
	read := func(elements int) error {
		_, err := ReadHeader(bytes.NewReader(file), int64(len(file)), &Options{HeaderOnly: true, Limits: Limits{Elements: elements}})
		return err
	}
	if err := read(300); err != nil {
		t.Error(err)
	}
	if e, ok := errors.AsType[*Error](read(299)); !ok || e.Code != OverLimit || e.Tag != tagPixelData.String() || e.Offset == 0 {
		t.Errorf("error %v", e)
	}
}

func TestAFrameOfManyPixelsIsDecodedWhereThatIsAllowed(t *testing.T) {
	h, _, err := readBack(mustEncode(t, phantomSlice(16, 16, true), ExplicitLittleEndian), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := h.Pixels
	f.Rows, f.Columns = 8192, 8193
	value := make([]byte, 2*f.Rows*f.Columns)
	if _, err := DecodeFrame(value, f, 0, nil); codeOf(err) != OverLimit {
		t.Errorf("error %v", err)
	}
	f.MaxPixels = f.Rows * f.Columns
	if _, err := DecodeFrame(value, f, 0, nil); err != nil {
		t.Error(err)
	}
}

func TestLimitsThatCannotBeMeant(t *testing.T) {
	for _, c := range []struct {
		limits Limits
		ok     bool
	}{
		{Limits{}, true}, {Limits{Bytes: 1, Depth: maxDepth, Elements: 1, Pixels: 1}, true},
		{Limits{Depth: maxDepth + 1}, false}, {Limits{Bytes: -1}, false}, {Limits{Depth: -1}, false}, {Limits{Elements: -1}, false}, {Limits{Pixels: -1}, false},
	} {
		if err := c.limits.Check(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.limits, err)
		}
	}
	// The deepest that can be asked for is listed without end of the stack.
	file := deepSlice(t, maxDepth)
	if all, err := Elements(bytes.NewReader(file), int64(len(file)), true, Limits{Depth: 1 << 30}); err != nil || all[len(all)-1].Tag != tagPixelData.String() {
		t.Errorf("%d elements, %v", len(all), err)
	}
}

// FuzzScan walks whatever comes, under limits that are drawn, too. More seeds lie in testdata/fuzz/FuzzScan.
func FuzzScan(f *testing.F) {
	for _, ts := range syntaxes {
		file := mustEncode(f, phantomSlice(8, 12, true), ts)
		f.Add(file, uint8(32), uint16(1000))
		f.Add(file[132:], uint8(1), uint16(20))
	}
	f.Add(deepSlice(f, 40), uint8(40), uint16(200))
	f.Add(deflatedSlice(f, 8), uint8(0), uint16(0))
	f.Add(fragmented(f, 3), uint8(0), uint16(0))
	for _, h := range hostile {
		if file := h.file(); len(file) < 2000 {
			f.Add(file, uint8(0), uint16(0))
		}
	}
	names, err := filepath.Glob(filepath.Join("testdata", "pydicom", "*.dcm"))
	if err != nil || len(names) < 10 {
		f.Fatalf("%d files to start from: %v", len(names), err)
	}
	for _, name := range names {
		file, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(file) < 20_000 {
			f.Add(file, uint8(0), uint16(0))
		}
	}
	// What is inflated is no more than the limit, what is listed no more than so many elements and their values.
	const mostBytes, mostAllocated = 1 << 20, 16 << 20
	f.Fuzz(func(t *testing.T, file []byte, depth uint8, elements uint16) {
		size := int64(len(file))
		limits := Limits{Bytes: mostBytes, Depth: int(depth), Elements: int(elements)}.WithDefaults()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := &countingReader{ReaderAt: bytes.NewReader(file)}
		s := getScanner(r, size, limits)
		defer s.release()
		err := s.scan()
		// Reading goes forward: of a file no more is read than it has, but for values that two blocks share.
		if deflating := s.deflated > 0 || s.syntax == DeflatedLittleEndian; !deflating && r.n > 2*len(file)+2*blockSize {
			t.Fatalf("%d bytes of %d were read", r.n, len(file))
		}
		h, headerErr := ReadHeader(bytes.NewReader(file), size, &Options{HeaderOnly: true, Limits: limits})
		all, listErr := Elements(bytes.NewReader(file), size, true, limits)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > mostAllocated {
			t.Fatalf("%d bytes allocated for a file of %d", got, len(file))
		}
		for _, err := range []error{err, headerErr, listErr} {
			if err != nil && codeOf(err) == "" {
				t.Fatalf("an error without a code: %v", err)
			}
		}
		if s.elements > limits.Elements+1 || len(all) > limits.Elements {
			t.Fatalf("%d elements walked, %d listed, %d are allowed", s.elements, len(all), limits.Elements)
		}
		for _, e := range all {
			if e.Depth > limits.Depth || e.Length > s.size {
				t.Fatalf("an element of %d bytes at depth %d: the file has %d, %d are allowed", e.Length, e.Depth, s.size, limits.Depth)
			}
		}
		if err != nil {
			if headerErr == nil {
				t.Fatalf("the header is read of what the scan refuses: %v", err)
			}
			return
		}
		end := int64(0)
		for _, e := range s.found {
			n := int64(e.to - e.from)
			if e.offset < end || e.offset+n > s.size || n > maxValue {
				t.Fatalf("%s: bytes %d to %d, in a file of %d, behind one that ends at %d", e.tag, e.offset, e.offset+n, s.size, end)
			}
			end = e.offset + n
		}
		if headerErr != nil {
			return
		}
		p := &h.Pixels
		if p.Offset < 0 || p.Length < 0 || p.Offset+p.Length > s.size && (p.Encapsulated || p.Length != int64(undefinedLength)) {
			t.Fatalf("pixel data of %d bytes at %d, in a file of %d", p.Length, p.Offset, s.size)
		}
		if value, err := p.Value(file); err != nil || int64(len(value)) != p.Length {
			t.Fatalf("%d bytes of pixel data, %v; the header says %d", len(value), err, p.Length)
		}
		if frames, err := h.Split(); err == nil {
			for _, one := range frames {
				if p := &one.Pixels; p.Offset < 0 || p.Length < 0 || p.Offset+p.Length > s.size {
					t.Fatalf("a frame of %d bytes at %d, in a file of %d", p.Length, p.Offset, s.size)
				}
			}
		}
		// Limits refuse, and change nothing of what is read.
		wide, err := ReadHeader(bytes.NewReader(file), size, &Options{HeaderOnly: true, Limits: Limits{Depth: maxDepth, Elements: 1 << 20, Pixels: limits.Pixels}})
		if err != nil {
			t.Fatalf("refused under wider limits: %v", err)
		}
		if diff := cmp.Diff(wide, h, cmpopts.IgnoreUnexported(Header{}), cmpopts.EquateNaNs()); diff != "" {
			t.Fatalf("under wider limits -, under narrow ones +:\n%s", diff)
		}
	})
}
