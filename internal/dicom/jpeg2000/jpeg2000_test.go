package jpeg2000

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand"
	"os"
	"sync"
	"testing"
)

type example struct {
	Name          string
	Rows, Columns int
	Bits          int
	Signed        bool
	Image         []byte // base64
	SHA256        string
}

// examples are images that OpenJPEG coded (testdata/make_expected.py).
func examples(t testing.TB) (all []example) {
	t.Helper()
	b, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// named returns the example of that name.
func named(t testing.TB, name string) example {
	t.Helper()
	for _, e := range examples(t) {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("no example is %q", name)
	return example{}
}

var errTooLarge = errors.New("too large for the test")

// upTo gives as much of the room as the image needs, if it is enough.
func upTo(pix []uint16) func(Frame) ([]uint16, error) {
	return func(f Frame) ([]uint16, error) {
		if f.Rows > len(pix) || f.Columns > len(pix) || f.Rows*f.Columns > len(pix) {
			return nil, errTooLarge
		}
		return pix[:f.Rows*f.Columns], nil
	}
}

// hasKind tells whether an error is one of this package's kinds, or of the test's room.
func hasKind(err error) bool {
	return errors.Is(err, ErrMalformed) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrUnsupported) || errors.Is(err, errTooLarge)
}

func digest(pix []uint16) string {
	var b []byte
	for _, v := range pix {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestSamplesEqualOpenJPEGs(t *testing.T) {
	all := examples(t)
	if len(all) < 150 {
		t.Errorf("%d examples", len(all))
	}
	for _, e := range all {
		pix := make([]uint16, e.Rows*e.Columns)
		f, err := Decode(e.Image, upTo(pix))
		if want := (Frame{e.Rows, e.Columns, 1, e.Bits, e.Signed}); err != nil || f != want {
			t.Errorf("%s: %+v, %v", e.Name, f, err)
			continue
		}
		if digest(pix) != e.SHA256 {
			t.Errorf("%s: other samples", e.Name)
		}
	}
}

func TestManyAtOnceGiveTheSame(t *testing.T) {
	all := examples(t)
	var wait sync.WaitGroup
	for k := range 4 {
		wait.Go(func() {
			pix := make([]uint16, 1<<16)
			for i := range all {
				e := all[(i*(2*k+1))%len(all)]
				f, err := Decode(e.Image, upTo(pix))
				if err != nil || digest(pix[:f.Rows*f.Columns]) != e.SHA256 {
					t.Errorf("%s: other samples than alone, %v", e.Name, err)
				}
			}
		})
	}
	wait.Wait()
}

func TestTruncationNeverSucceeds(t *testing.T) {
	pix := make([]uint16, 1<<16)
	for _, e := range examples(t) {
		end := bytes.LastIndex(e.Image, []byte{0xff, 0xd9}) // the marker that ends it
		for n := range end {
			if _, err := Decode(e.Image[:n], upTo(pix)); !errors.Is(err, ErrTruncated) {
				t.Fatalf("%s: %d of %d bytes: %v", e.Name, n, len(e.Image), err)
			}
		}
		if f, err := Decode(e.Image[:end], upTo(pix)); err != nil || digest(pix[:f.Rows*f.Columns]) != e.SHA256 {
			t.Errorf("%s: without the last marker: %v", e.Name, err)
		}
	}
}

// TestMissingPacketsAreMissed takes packets from the end of a tile's last part, and has its length say so.
func TestMissingPacketsAreMissed(t *testing.T) {
	pix := make([]uint16, 1<<16)
	for _, e := range examples(t) {
		at := bytes.LastIndex(e.Image, []byte{0xff, 0x90, 0, 10})
		end := bytes.LastIndex(e.Image, []byte{0xff, 0xd9})
		data := at + bytes.Index(e.Image[at:], []byte{0xff, 0x93}) + 2
		for n := data; n < end; n++ {
			b := append(bytes.Clone(e.Image[:n]), 0xff, 0xd9)
			binary.BigEndian.PutUint32(b[at+6:], uint32(n-at))
			if _, err := Decode(b, upTo(pix)); !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrMalformed) {
				t.Fatalf("%s: %d of %d bytes of packets: %v", e.Name, n-data, end-data, err)
			}
		}
	}
}

func TestErrorsNameTheirKind(t *testing.T) {
	e := named(t, "slope, 37x60, 10 bits -C a_comment")
	good := e.Image
	pix := make([]uint16, e.Rows*e.Columns)
	if _, err := Decode(good, upTo(pix)); err != nil {
		t.Fatal(err)
	}
	segment := func(marker byte) int { return bytes.Index(good, []byte{0xff, marker}) + 4 }
	siz, cod, qcd, sot := segment(0x51), segment(0x52), segment(0x5c), segment(0x90)
	edit := func(at int, b ...byte) []byte {
		c := bytes.Clone(good)
		copy(c[at:], b)
		return c
	}
	insert := func(at int, s string) []byte {
		return append(append(bytes.Clone(good[:at]), s...), good[at:]...)
	}
	box := func(s string) []byte { return append(append(bytes.Clone(signature), s...), good...) }
	for _, c := range []struct {
		name string
		data []byte
		kind error
	}{
		{"nothing", nil, ErrTruncated},
		{"zeros", make([]byte, 1000), ErrMalformed},
		{"only its begin", good[:4], ErrTruncated},
		{"no rows", edit(siz+6, 0, 0, 0, 0), ErrMalformed},
		{"an image right of its first tile", edit(siz+18, 0, 0, 0, 0), ErrMalformed},
		{"tiles of one sample", edit(siz+18, 0, 0, 0, 1, 0, 0, 0, 1), ErrTruncated},
		{"three components", append(append(edit(siz-1, 47)[:siz+34:siz+34], 0, 3, 9, 1, 1, 9, 1, 1), good[siz+36:]...), ErrUnsupported},
		{"a subsampled component", edit(siz+37, 2), ErrUnsupported},
		{"17 bits a sample", edit(siz+36, 16), ErrUnsupported},
		{"high throughput", edit(siz, 0x40), ErrUnsupported},
		{"high throughput code-blocks", edit(cod+8, 0x40), ErrUnsupported},
		{"progression 5", edit(cod+1, 5), ErrMalformed},
		{"no layers", edit(cod+2, 0, 0), ErrMalformed},
		{"65535 layers", edit(cod+2, 0xff, 0xff), ErrTruncated},
		{"a transform of components", edit(cod+4, 1), ErrUnsupported},
		{"33 levels", edit(cod+5, 33), ErrMalformed},
		{"32 levels, and exponents of 5", edit(cod+5, 32), ErrMalformed},
		{"code-blocks of 2048", edit(cod+6, 9), ErrMalformed},
		{"code-blocks of 8192 coefficients", edit(cod+6, 5, 4), ErrMalformed},
		{"the irreversible transform", edit(cod+9, 0), ErrUnsupported},
		{"a third transform", edit(cod+9, 2), ErrMalformed},
		{"precincts that are not said", edit(cod, 1), ErrMalformed},
		{"quantisation", edit(qcd, 0x42), ErrUnsupported},
		{"no bit planes", edit(qcd, 0x00, 0, 0, 0, 0), ErrMalformed},
		{"parameters of a component", insert(qcd-4, "\xff\x53\x00\x09\x00\x00\x05\x04\x04\x00\x01"), ErrUnsupported},
		{"quantisation of a component", insert(qcd-4, "\xff\x5d\x00\x05\x00\x40\x48"), ErrUnsupported},
		{"a region of interest", insert(qcd-4, "\xff\x5e\x00\x05\x00\x00\x07"), ErrUnsupported},
		{"another progression order", insert(qcd-4, "\xff\x5f\x00\x09\x00\x00\x00\x01\x06\x01\x00"), ErrUnsupported},
		{"packed headers", insert(qcd-4, "\xff\x60\x00\x03\x00"), ErrUnsupported},
		{"packed headers of a tile", insert(sot+8, "\xff\x61\x00\x03\x00"), ErrUnsupported},
		{"capabilities", insert(siz-4+43, "\xff\x50\x00\x08\x00\x02\x00\x00\x00\x00"), ErrUnsupported},
		{"a segment of one byte", insert(qcd-4, "\xff\x64\x00\x01"), ErrMalformed},
		{"a segment beyond the end", insert(qcd-4, "\xff\x64\xff\xff"), ErrTruncated},
		{"a segment that is no marker's", insert(qcd-4, "\x00\x64\x00\x02"), ErrMalformed},
		{"a marker without a segment, and an unknown one", insert(qcd-4, "\xff\x30\xff\x77\x00\x03x"), nil},
		{"a second size", insert(qcd-4, string(good[siz-4:siz+39])), ErrMalformed},
		{"no quantisation parameters", edit(qcd-3, 0x64), ErrMalformed},
		{"a tile that the image has not", edit(sot, 0, 1), ErrMalformed},
		{"a second part alone", edit(sot+6, 1), ErrMalformed},
		{"a tile to the end", edit(sot+2, 0, 0, 0, 0), nil},
		{"a tile-part of 13 bytes", edit(sot+2, 0, 0, 0, 13), ErrMalformed},
		{"a tile-part beyond the end", edit(sot+2, 0, 1, 0, 0), ErrTruncated},
		{"a file of boxes", box("\x00\x00\x00\x0aboxes.\x00\x00\x00\x00jp2c"), nil},
		{"a large box", box("\x00\x00\x00\x01jp2c\x00\x00\x00\x00\x7f\x00\x00\x00"), nil},
		{"a palette", box("\x00\x00\x00\x10jp2h\x00\x00\x00\x08pclr\x00\x00\x00\x00jp2c"), ErrUnsupported},
		{"a box of one byte", box("\x00\x00\x00\x01jp2h\x00\x00\x00\x00\x00\x00\x00\x01"), ErrMalformed},
		{"a box beyond the end", box("\x00\x10\x00\x00jp2h"), ErrTruncated},
		{"boxes without an image", signature, ErrTruncated},
	} {
		if _, err := Decode(c.data, upTo(pix)); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v", c.name, err, c.kind)
		}
	}
	if _, err := Decode(good, func(Frame) ([]uint16, error) { return pix[1:], nil }); err == nil {
		t.Error("decoded into too little room")
	}
	if _, err := Decode(good, upTo(nil)); !errors.Is(err, errTooLarge) {
		t.Errorf("the error of the room: %v", err)
	}
}

func TestMutantsEnd(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	all := examples(t)
	pix := make([]uint16, 1<<20)
	decoded := 0
	for range 5000 {
		e := all[r.Intn(len(all))]
		b := bytes.Clone(e.Image)
		most := len(b)
		if r.Intn(2) == 0 {
			most = min(most, 200) // the headers
		}
		for range 1 + r.Intn(6) {
			b[r.Intn(most)] = byte(r.Intn(256))
		}
		_, err := Decode(b, upTo(pix))
		if err == nil {
			decoded++
		} else if !hasKind(err) {
			t.Errorf("%s: %v", e.Name, err)
		}
	}
	if decoded == 0 {
		t.Error("no mutant was decoded")
	}
	for _, e := range all { // what mutants left in the decoders must not matter
		f, err := Decode(e.Image, upTo(pix))
		if err != nil || digest(pix[:f.Rows*f.Columns]) != e.SHA256 {
			t.Errorf("%s: other samples after mutants, %v", e.Name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, e := range examples(f) {
		if len(e.Image) < 1500 {
			f.Add(e.Image)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Decode(b, upTo(make([]uint16, 1<<16))); err != nil && !hasKind(err) {
			t.Error(err)
		}
	})
}

// BenchmarkDecode decodes the codestream in the file that CSPINE_JPEG2000 names, or the largest of the examples.
func BenchmarkDecode(b *testing.B) {
	var data []byte
	for _, e := range examples(b) {
		if len(e.Image) > len(data) {
			data = e.Image
		}
	}
	if name := os.Getenv("CSPINE_JPEG2000"); name != "" {
		var err error
		if data, err = os.ReadFile(name); err != nil {
			b.Fatal(err)
		}
	}
	pix := make([]uint16, 1<<20)
	for b.Loop() {
		f, err := Decode(data, upTo(pix))
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(2 * f.Rows * f.Columns))
	}
}
