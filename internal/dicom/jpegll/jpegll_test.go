package jpegll

import (
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"testing"
)

// scan512 is a picture with the statistics of a bone-kernel CT slice: a round body with noise of 60 HU in
// constant padding, edges, a few extreme values.
func scan512(precision int) []uint16 {
	return picture(512, 512, 1, precision)
}

func picture(rows, columns, components, precision int) []uint16 {
	r := rand.New(rand.NewSource(7))
	pix := make([]uint16, rows*columns*components)
	top := 1<<precision - 1
	for y := range rows {
		for x := range columns {
			for c := range components {
				v := 0
				dy, dx := 2*y-rows, 2*x-columns
				if dy*dy+dx*dx < rows*columns*4/5 {
					v = top/4 + int(r.NormFloat64()*float64(top)/70)
					if (x/37+y/53)%7 == c {
						v += top / 3
					}
				}
				if r.Intn(2000) == 0 {
					v = r.Intn(top + 1)
				}
				pix[(y*columns+x)*components+c] = uint16(min(max(v, 0), top))
			}
		}
	}
	return pix
}

// into gives room that is there, whatever the image's size.
func into(pix []uint16) func(Frame) ([]uint16, error) {
	return func(Frame) ([]uint16, error) { return pix, nil }
}

func TestDecodeUndoesEncode(t *testing.T) {
	sizes := [][2]int{{1, 1}, {1, 7}, {7, 1}, {16, 16}, {33, 61}}
	for predictor := 1; predictor <= 7; predictor++ {
		for _, precision := range []int{2, 8, 12, 16} {
			for components := 1; components <= 4; components++ {
				for _, restart := range []int{0, 1, 3} {
					for _, size := range sizes {
						o := EncodeOptions{Precision: precision, Predictor: predictor, Components: components, RestartRows: restart}
						pix := picture(size[0], size[1], components, precision)
						file, err := Encode(nil, pix, size[0], size[1], &o)
						if err != nil {
							t.Fatal(err)
						}
						got := make([]uint16, len(pix))
						frame, err := Decode(file, into(got))
						if err != nil {
							t.Fatalf("%v %+v: %v", size, o, err)
						}
						if want := (Frame{size[0], size[1], components, precision}); frame != want {
							t.Fatalf("frame %+v, want %+v", frame, want)
						}
						if !slices.Equal(got, pix) {
							t.Fatalf("%v %+v: samples differ", size, o)
						}
					}
				}
			}
		}
	}
}

func TestEveryDifferenceSurvives(t *testing.T) {
	// 0, d, 0, d+1, …: every difference modulo 2^16 occurs, 32768 among them.
	pix := make([]uint16, 1<<17)
	for d := range 1 << 16 {
		pix[2*d+1] = uint16(d)
	}
	file, err := Encode(nil, pix, 512, 256, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]uint16, len(pix))
	if _, err := Decode(file, into(got)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, pix) {
		t.Error("samples differ")
	}
}

func TestPointTransformDropsLowBits(t *testing.T) {
	pix := picture(32, 32, 2, 12)
	for predictor := 1; predictor <= 7; predictor++ {
		file, err := Encode(nil, pix, 32, 32, &EncodeOptions{Precision: 12, Predictor: predictor, Components: 2, PointTransform: 3})
		if err != nil {
			t.Fatal(err)
		}
		got := make([]uint16, len(pix))
		if _, err := Decode(file, into(got)); err != nil {
			t.Fatal(err)
		}
		for i, v := range pix {
			if got[i] != v&^7 {
				t.Fatalf("predictor %d, sample %d: %d, want %d", predictor, i, got[i], v&^7)
			}
		}
	}
}

func TestEqualImagesAreEqualBytes(t *testing.T) {
	a, err := Encode(nil, scan512(16), 512, 512, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := Encode(make([]byte, 0, 10), scan512(16), 512, 512, nil)
	if !slices.Equal(a, b) {
		t.Error("two encodings of one image differ")
	}
}

func TestEncodeRefusesWhatItCannotCode(t *testing.T) {
	cases := []struct {
		name          string
		n             int
		rows, columns int
		o             EncodeOptions
	}{
		{"samples missing", 3, 2, 2, EncodeOptions{}},
		{"no rows", 0, 0, 2, EncodeOptions{}},
		{"predictor 8", 4, 2, 2, EncodeOptions{Predictor: 8}},
		{"precision 1", 4, 2, 2, EncodeOptions{Precision: 1}},
		{"five components", 20, 2, 2, EncodeOptions{Components: 5}},
		{"all bits dropped", 4, 2, 2, EncodeOptions{Precision: 8, PointTransform: 8}},
		{"restart interval too long", 70000, 2, 35000, EncodeOptions{RestartRows: 2}},
	}
	for _, c := range cases {
		if _, err := Encode(nil, make([]uint16, c.n), c.rows, c.columns, &c.o); err == nil {
			t.Errorf("%s: no error", c.name)
		}
	}
	if _, err := Encode(nil, []uint16{4096}, 1, 1, &EncodeOptions{Precision: 12}); err == nil {
		t.Error("a sample of 13 bits at precision 12: no error")
	}
}

func TestTruncationNeverSucceeds(t *testing.T) {
	for _, o := range []EncodeOptions{{}, {Predictor: 4, RestartRows: 2}, {Components: 3, Predictor: 7}} {
		components := max(o.Components, 1)
		pix := picture(16, 16, components, 16)
		file, err := Encode(nil, pix, 16, 16, &o)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]uint16, len(pix))
		for n := range len(file) - 2 { // only the EOI may be missing
			if _, err := Decode(file[:n], into(got)); err == nil {
				t.Fatalf("%+v: %d of %d bytes decode without an error", o, n, len(file))
			}
		}
	}
}

func TestErrorsNameTheirKind(t *testing.T) {
	file, err := Encode(nil, picture(8, 8, 1, 16), 8, 8, nil)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(change func(b []byte) []byte) []byte { return change(slices.Clone(file)) }
	const sof, dht = 2, 2 + 2 + 11
	cases := []struct {
		name string
		file []byte
		room int
		want error
	}{
		{"empty", nil, 64, ErrTruncated},
		{"text", []byte("a text"), 64, ErrMalformed},
		{"room for fewer samples", file, 63, ErrSize},
		{"room for more samples", file, 65, ErrSize},
		{"baseline", edit(func(b []byte) []byte { b[sof+1] = 0xc0; return b }), 64, ErrUnsupported},
		{"arithmetic", edit(func(b []byte) []byte { b[sof+1] = 0xcb; return b }), 64, ErrUnsupported},
		{"no line count", edit(func(b []byte) []byte { b[sof+5], b[sof+6] = 0, 0; return b }), 64, ErrUnsupported},
		{"precision 17", edit(func(b []byte) []byte { b[sof+4] = 17; return b }), 64, ErrMalformed},
		{"table 0 missing", edit(func(b []byte) []byte { b[dht+4] = 1; return b }), 64, ErrMalformed},
		{"too many codes", edit(func(b []byte) []byte { b[dht+5] = 17; return b }), 64, ErrMalformed},
	}
	for _, c := range cases {
		if _, err := Decode(c.file, into(make([]uint16, c.room))); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
}

func TestRoomIsAskedForBeforeTheScan(t *testing.T) {
	file, err := Encode(nil, picture(8, 9, 3, 12), 8, 9, &EncodeOptions{Precision: 12, Components: 3})
	if err != nil {
		t.Fatal(err)
	}
	errNoRoom := errors.New("no room")
	var got Frame
	_, err = Decode(file[:30], func(f Frame) ([]uint16, error) {
		got = f
		return nil, errNoRoom
	})
	if want := (Frame{8, 9, 3, 12}); !errors.Is(err, errNoRoom) || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func FuzzDecode(f *testing.F) {
	for _, o := range []EncodeOptions{{}, {Predictor: 6, RestartRows: 1, Precision: 12}, {Components: 4, Predictor: 5, PointTransform: 2}} {
		file, err := Encode(nil, picture(5, 6, max(o.Components, 1), max(o.Precision, 8)), 5, 6, &o)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	buf := make([]uint16, 1<<16)
	f.Fuzz(func(t *testing.T, data []byte) {
		var asked Frame
		frame, err := Decode(data, func(f Frame) ([]uint16, error) {
			asked = f
			return buf[:min(f.Samples(), len(buf))], nil
		})
		if err == nil && frame != asked {
			t.Errorf("an image of %+v, room was asked for %+v", frame, asked)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	pix := scan512(12)
	for predictor := 1; predictor <= 7; predictor++ {
		file, err := Encode(nil, pix, 512, 512, &EncodeOptions{Predictor: predictor})
		if err != nil {
			b.Fatal(err)
		}
		got := make([]uint16, len(pix))
		b.Run(fmt.Sprintf("predictor%d", predictor), func(b *testing.B) {
			b.SetBytes(int64(2 * len(pix)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(file, into(got)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	pix := scan512(12)
	var file []byte
	b.SetBytes(int64(2 * len(pix)))
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if file, err = Encode(file[:0], pix, 512, 512, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(file)), "bytes/file")
}
