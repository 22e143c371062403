package jpegls

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand"
	"os"
	"testing"
)

type example struct {
	Name          string
	Rows, Columns int
	Bits          int
	Image         []byte // base64
	SHA256        string
}

// examples are images that CharLS coded (testdata/make_expected.py).
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

// into gives room that is there, whatever the image's size.
func into(pix []uint16) func(Frame) ([]uint16, error) {
	return func(Frame) ([]uint16, error) { return pix, nil }
}

var errTooLarge = errors.New("too large for the test")

// upTo gives as much of the room as the image needs, if it is enough.
func upTo(pix []uint16) func(Frame) ([]uint16, error) {
	return func(f Frame) ([]uint16, error) {
		if f.Rows*f.Columns > len(pix) {
			return nil, errTooLarge
		}
		return pix[:f.Rows*f.Columns], nil
	}
}

func TestSamplesEqualCharLSs(t *testing.T) {
	all := examples(t)
	if len(all) < 100 {
		t.Errorf("%d examples", len(all))
	}
	for _, e := range all {
		pix := make([]uint16, e.Rows*e.Columns)
		f, err := Decode(e.Image, into(pix))
		if want := (Frame{e.Rows, e.Columns, 1, e.Bits}); err != nil || f != want {
			t.Errorf("%s: %+v, %v", e.Name, f, err)
			continue
		}
		var b []byte
		for _, v := range pix {
			b = binary.LittleEndian.AppendUint16(b, v)
		}
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != e.SHA256 {
			t.Errorf("%s: other samples", e.Name)
		}
	}
}

func TestTruncationNeverSucceeds(t *testing.T) {
	for _, e := range examples(t) {
		pix := make([]uint16, e.Rows*e.Columns)
		end := len(e.Image) - 2 // the marker that ends it
		for end > 0 && e.Image[end-1] == 0 {
			end-- // zeros may be padding
		}
		for n := range end - 1 {
			if _, err := Decode(e.Image[:n], into(pix)); !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrMalformed) {
				t.Fatalf("%s: %d of %d bytes: %v", e.Name, n, len(e.Image), err)
			}
		}
	}
}

func TestErrorsNameTheirKind(t *testing.T) {
	good := examples(t)[0].Image
	pix := make([]uint16, examples(t)[0].Rows*examples(t)[0].Columns)
	if _, err := Decode(good, into(pix)); err != nil {
		t.Fatal(err)
	}
	edit := func(at int, b byte) []byte {
		c := bytes.Clone(good)
		c[at] = b
		return c
	}
	frame := bytes.Index(good, []byte{0xff, markerSOF}) + 4
	scan := bytes.Index(good, []byte{0xff, markerSOS}) + 4
	insert := func(segment string) []byte {
		return append(append(bytes.Clone(good[:2]), segment...), good[2:]...)
	}
	for _, c := range []struct {
		name string
		data []byte
		kind error
	}{
		{"nothing", nil, ErrMalformed},
		{"only its begin", good[:2], ErrTruncated},
		{"one bit a sample", edit(frame, 1), ErrMalformed},
		{"17 bits a sample", edit(frame, 17), ErrMalformed},
		{"no rows", edit(frame+2, 0), ErrUnsupported},
		{"subsampled", edit(frame+7, 0x22), ErrUnsupported},
		{"a mapping table", edit(scan+2, 1), ErrUnsupported},
		{"off by more than a half", edit(scan+3, 200), ErrMalformed},
		{"interleaved", edit(scan+4, 1), ErrMalformed},
		{"shifted", edit(scan+5, 1), ErrUnsupported},
		{"restart intervals", insert("\xff\xdd\x00\x04\x00\x01"), ErrUnsupported},
		{"another process", insert("\xff\xc0\x00\x02"), ErrUnsupported},
		{"a table of values", insert("\xff\xf8\x00\x03\x02"), ErrUnsupported},
		{"short parameters", insert("\xff\xf8\x00\x04\x01\x00"), ErrMalformed},
		{"thresholds that fall", insert("\xff\xf8\x00\x0d\x01\x00\x03\x00\x03\x00\x02\x00\x01\x00\x40"), ErrMalformed},
		{"reset at one", insert("\xff\xf8\x00\x0d\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"), ErrMalformed},
		{"a segment of one byte", insert("\xff\xfe\x00\x01"), ErrMalformed},
		{"a segment beyond the end", insert("\xff\xfe\xff\xff"), ErrTruncated},
		{"a comment, and fill bytes", insert("\xff\xff\xff\xfe\x00\x03x"), nil},
	} {
		if _, err := Decode(c.data, into(pix)); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v", c.name, err, c.kind)
		}
	}
	if _, err := Decode(good, into(pix[1:])); err == nil {
		t.Error("decoded into too little room")
	}
}

func TestMutantsEnd(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	all := examples(t)
	pix := make([]uint16, 65535*64)
	for range 5000 {
		e := all[r.Intn(len(all))]
		b := bytes.Clone(e.Image)
		for range 1 + r.Intn(6) {
			b[r.Intn(len(b))] = byte(r.Intn(256))
		}
		if _, err := Decode(b, upTo(pix)); err != nil && !errors.Is(err, errTooLarge) && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", e.Name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, e := range examples(f)[:40] {
		f.Add(e.Image)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := Decode(b, upTo(make([]uint16, 1<<16)))
		if err != nil && !errors.Is(err, errTooLarge) && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrUnsupported) {
			t.Error(err)
		}
	})
}

// BenchmarkDecode decodes the image in the file that CSPINE_JPEGLS names, or the largest of the examples.
func BenchmarkDecode(b *testing.B) {
	var data []byte
	for _, e := range examples(b) {
		if len(e.Image) > len(data) {
			data = e.Image
		}
	}
	if name := os.Getenv("CSPINE_JPEGLS"); name != "" {
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
