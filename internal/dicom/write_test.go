package dicom

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/cspine/cspine/internal/volume"
)

var syntaxes = []TransferSyntax{ImplicitLittleEndian, ExplicitLittleEndian, JPEGLossless, JPEGLosslessSV1}

// phantomSlice is a valid slice: a round body with noise, and every extreme value of its format.
func phantomSlice(size, stored int, signed bool) *CT {
	r := rand.New(rand.NewSource(3))
	low, high := 0, 1<<stored-1
	if signed {
		low, high = -1<<(stored-1), 1<<(stored-1)-1
	}
	pix := make([]uint16, size*size)
	for i := range pix {
		v := low
		if dy, dx := 2*(i/size)-size, 2*(i%size)-size; dy*dy+dx*dx < size*size*4/5 {
			v = low + (high-low)/40 + int(r.NormFloat64()*float64(high-low)/1000)
		}
		pix[i] = uint16(max(v, low))
	}
	pix[1], pix[2], pix[3] = uint16(low), uint16(high), uint16((low+high)/2)
	padding := int32(low)
	return &CT{
		StudyUID: "1.2.826.1", SeriesUID: "1.2.826.1.1", SOPInstanceUID: "1.2.826.1.1.7", FrameOfReferenceUID: "1.2.826.1.9",
		InstanceNumber: 7, Rows: size, Columns: size, PositionMM: [3]float64{-120.25, -100.5, 1.0 / 3},
		Orientation: [6]float64{1, 0, 0, 0, 1, 0}, SpacingMM: [2]float64{0.4, 0.5}, ThicknessMM: 0.625,
		SpacingBetweenSlicesMM: 0.6, GantryTiltDegrees: -3.5, Slope: 1, Intercept: -1024, BitsStored: stored, Signed: signed,
		Padding: &padding, WindowCentre: 400, WindowWidth: 1800, KVP: 120, Kernel: "BONE", Manufacturer: "CSPINE", BodyPart: "CSPINE",
		Pix: pix,
	}
}

func mustEncode(t testing.TB, c *CT, ts TransferSyntax) []byte {
	t.Helper()
	b, err := c.Encode(ts)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readBack reads a file of ours the way the pipeline does.
func readBack(b []byte, buf []uint16) (*Header, volume.Slice, error) {
	h, err := ReadHeader(bytes.NewReader(b), int64(len(b)), nil)
	if err != nil {
		return nil, volume.Slice{}, err
	}
	s, err := DecodeFrame(b[h.Pixels.Offset:h.Pixels.Offset+h.Pixels.Length], h.Pixels, 0, buf)
	return h, s, err
}

func TestReadUndoesEncode(t *testing.T) {
	for _, ts := range syntaxes {
		for _, signed := range []bool{false, true} {
			for _, stored := range []int{8, 12, 15, 16} {
				for _, size := range []int{5, 16, 33} {
					c := phantomSlice(size, stored, signed)
					h, s, err := readBack(mustEncode(t, c, ts), nil)
					if err != nil {
						t.Fatalf("%s, signed %v, %d bits: %v", ts.Name(), signed, stored, err)
					}
					for i, v := range c.Pix {
						want := int32(v)
						if signed {
							want = int32(int16(v))
						}
						if got := s.Value(i/size, i%size); got != want {
							t.Fatalf("%s, signed %v, %d bits: value %d is %d, want %d", ts.Name(), signed, stored, i, got, want)
						}
					}
					checkHeader(t, h, c, ts)
				}
			}
		}
	}
}

func checkHeader(t *testing.T, h *Header, c *CT, ts TransferSyntax) {
	t.Helper()
	position := c.PositionMM
	position[2] = 0.33333333333333 // a DS value has 16 characters
	checks := []struct {
		name      string
		got, want any
	}{
		{"StudyUID", h.StudyUID, c.StudyUID},
		{"SeriesUID", h.SeriesUID, c.SeriesUID},
		{"SOPInstanceUID", h.SOPInstanceUID, c.SOPInstanceUID},
		{"SOPClassUID", h.SOPClassUID, ctImageStorage},
		{"FrameOfReferenceUID", h.FrameOfReferenceUID, c.FrameOfReferenceUID},
		{"InstanceNumber", h.InstanceNumber, c.InstanceNumber},
		{"PositionMM", h.PositionMM, position},
		{"Orientation", h.Orientation, c.Orientation},
		{"HasGeometry", h.HasGeometry, true},
		{"SpacingMM", h.SpacingMM, c.SpacingMM},
		{"ThicknessMM", h.ThicknessMM, c.ThicknessMM},
		{"GantryTiltDegrees", h.GantryTiltDegrees, c.GantryTiltDegrees},
		{"Intercept", h.Intercept, c.Intercept},
		{"Slope", h.Slope, c.Slope},
		{"Padding", *h.Padding, *c.Padding},
		{"Kernel", h.Kernel, c.Kernel},
		{"ImageType", strings.Join(h.ImageType, ","), "ORIGINAL,PRIMARY,AXIAL"},
		{"TransferSyntax", h.Pixels.TransferSyntax, ts},
		{"BitsStored", h.Pixels.BitsStored, c.BitsStored},
	}
	for _, k := range checks {
		if k.got != k.want {
			t.Errorf("%s: %v, want %v", k.name, k.got, k.want)
		}
	}
}

func TestEqualSlicesAreEqualBytes(t *testing.T) {
	for _, ts := range syntaxes {
		if !bytes.Equal(mustEncode(t, phantomSlice(33, 12, true), ts), mustEncode(t, phantomSlice(33, 12, true), ts)) {
			t.Errorf("%s: two encodings of one slice differ", ts.Name())
		}
	}
}

func TestLongHeadersAndBuffersAreReused(t *testing.T) {
	c := phantomSlice(16, 16, true)
	c.ImageType = []string{"ORIGINAL", strings.Repeat("X", 3000)}
	buf := make([]uint16, 1000)
	_, s, err := readBack(mustEncode(t, c, ExplicitLittleEndian), buf)
	if err != nil {
		t.Fatal(err)
	}
	if &s.Pix[0] != &buf[0] {
		t.Error("a buffer that is large enough was not used")
	}
}

func TestMissingGeometryIsNoError(t *testing.T) {
	c := phantomSlice(16, 16, true)
	c.NoGeometry = true
	h, _, err := readBack(mustEncode(t, c, ExplicitLittleEndian), nil)
	if err != nil {
		t.Fatal(err)
	}
	if h.HasGeometry {
		t.Error("a slice without position has geometry")
	}
	c = phantomSlice(16, 16, true)
	c.Orientation = [6]float64{1, 0, 0, 1, 0, 0}
	if h, _, err = readBack(mustEncode(t, c, ExplicitLittleEndian), nil); err != nil || h.HasGeometry {
		t.Errorf("parallel directions: geometry %v, error %v", h.HasGeometry, err)
	}
}

func TestEncodeRefusesWhatIsNoSlice(t *testing.T) {
	cases := []struct {
		name string
		edit func(c *CT)
		ts   TransferSyntax
	}{
		{"samples missing", func(c *CT) { c.Pix = c.Pix[1:] }, ExplicitLittleEndian},
		{"no UID", func(c *CT) { c.StudyUID = "" }, ExplicitLittleEndian},
		{"17 bits", func(c *CT) { c.BitsStored = 17 }, ExplicitLittleEndian},
		{"a syntax that is not written", func(c *CT) {}, ExplicitBigEndian},
	}
	for _, k := range cases {
		c := phantomSlice(4, 16, false)
		k.edit(c)
		if _, err := c.Encode(k.ts); err == nil {
			t.Errorf("%s: no error", k.name)
		}
	}
}

func TestDecimalStringsFitTheirField(t *testing.T) {
	for _, v := range []float64{0, 1, -1.0 / 3, 1e-300 / 3, -1e300 / 3, 123456789.123456789, 0.1 + 0.2} {
		if s := decimalString(v); len(s) > 16 {
			t.Errorf("%q has %d characters", s, len(s))
		}
	}
	if got := decimalString(-0.675781); got != "-0.675781" {
		t.Error(got)
	}
}

func TestFramesLieInFragments(t *testing.T) {
	// Two images of one size and different content.
	var images [2][]byte
	var want [2]volume.Slice
	var f PixelFormat
	for i := range images {
		c := phantomSlice(16, 16, false)
		c.Pix[40] += uint16(i)
		file := mustEncode(t, c, JPEGLosslessSV1)
		h, s, err := readBack(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		if images[i], err = h.Pixels.fragments(file[h.Pixels.Offset:], 0); err != nil {
			t.Fatal(err)
		}
		want[i], f = s, h.Pixels
	}
	a, b := images[0], images[1]
	half := len(a) / 4 * 2
	table := func(offsets ...int) (t []byte) {
		for _, o := range offsets {
			t = binary.LittleEndian.AppendUint32(t, uint32(o))
		}
		return t
	}
	for _, k := range []struct {
		name   string
		frames int
		table  []byte
		parts  [][]byte
		code   string
	}{
		{"a frame in a fragment", 1, nil, [][]byte{a}, ""},
		{"a frame in two fragments", 1, nil, [][]byte{a[:half], a[half:]}, ""},
		{"a frame in two fragments with a table", 1, table(0), [][]byte{a[:half], a[half:]}, ""},
		{"two frames in two fragments", 2, nil, [][]byte{a, b}, ""},
		{"two frames in four fragments", 2, nil, [][]byte{a[:half], a[half:], b[:half], b[half:]}, ""},
		{"two frames in three fragments with a table", 2, table(0, len(a)+16), [][]byte{a[:half], a[half:], b}, ""},
		{"three frames in two fragments", 3, nil, [][]byte{a, b}, Malformed},
		{"an offset at which no fragment begins", 2, table(2, 4), [][]byte{a, b}, Malformed},
		{"an offset behind all", 2, table(1<<30, 1<<31), [][]byte{a, b}, Malformed},
		{"no fragment", 1, nil, nil, Malformed},
	} {
		w := writer{}
		w.item(tagItem, uint32(len(k.table)))
		w.buf = append(w.buf, k.table...)
		for _, p := range k.parts {
			w.item(tagItem, uint32(len(p)))
			w.buf = append(w.buf, p...)
		}
		w.item(tagSequenceEnd, 0)
		f.Frames = k.frames
		for i := range k.frames {
			got, err := DecodeFrame(w.buf, f, i, nil)
			if codeOf(err) != k.code || err == nil && !slices.Equal(got.Pix, want[i].Pix) {
				t.Errorf("%s, frame %d: error %v, want %q", k.name, i, err, k.code)
			}
		}
		for _, i := range []int{-1, k.frames} {
			if _, err := DecodeFrame(w.buf, f, i, nil); codeOf(err) != Malformed {
				t.Errorf("%s, frame %d: error %v", k.name, i, err)
			}
		}
	}
}

func BenchmarkDecodeUncompressed(b *testing.B) {
	for _, stored := range []int{12, 16} {
		for _, signed := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dbit_signed_%v", stored, signed), func(b *testing.B) {
				benchmarkDecode(b, phantomSlice(512, stored, signed), ExplicitLittleEndian)
			})
		}
	}
}

func BenchmarkDecodeJPEGLossless(b *testing.B) {
	benchmarkDecode(b, phantomSlice(512, 16, true), JPEGLosslessSV1)
}

func benchmarkDecode(b *testing.B, c *CT, ts TransferSyntax) {
	file := mustEncode(b, c, ts)
	h, s, err := readBack(file, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(2 * len(c.Pix)))
	b.ReportAllocs()
	for b.Loop() {
		if s, err = DecodeFrame(file[h.Pixels.Offset:], h.Pixels, 0, s.Pix); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadHeader(b *testing.B) {
	for _, ts := range []TransferSyntax{ExplicitLittleEndian, JPEGLosslessSV1} {
		file := mustEncode(b, phantomSlice(512, 16, true), ts)
		b.Run(ts.Name(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ReadHeader(bytes.NewReader(file), int64(len(file)), nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncodeJPEGLossless(b *testing.B) { benchmarkEncode(b, JPEGLosslessSV1) }

func BenchmarkEncodeUncompressed(b *testing.B) { benchmarkEncode(b, ExplicitLittleEndian) }

func benchmarkEncode(b *testing.B, ts TransferSyntax) {
	c := phantomSlice(512, 16, true)
	b.SetBytes(int64(2 * len(c.Pix)))
	b.ReportAllocs()
	for b.Loop() {
		mustEncode(b, c, ts)
	}
}
