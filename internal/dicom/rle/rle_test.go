package rle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand"
	"testing"
)

// frame is one of a segment.
func frame(segment ...byte) []byte {
	b := make([]byte, headerBytes)
	binary.LittleEndian.PutUint32(b, 1)
	binary.LittleEndian.PutUint32(b[4:], headerBytes)
	return append(b, segment...)
}

func TestPackBits(t *testing.T) {
	for _, c := range []struct {
		name    string
		segment []byte
		want    string // the plane
		err     error
	}{
		{"as it is", []byte{2, 'a', 'b', 'c'}, "abc", nil},
		{"a run", []byte{0xfe, 'a'}, "aaa", nil},
		{"both, and padding", []byte{0xff, 'a', 1, 'b', 'c', 0}, "aabc", nil},
		{"nothing, then a run", []byte{0x80, 0xff, 'a'}, "aa", nil},
		{"more than is asked for", []byte{0xf0, 'a'}, "aa", nil},
		{"as it is, more than is asked for", []byte{5, 'a', 'b', 'c', 'd', 'e', 'f'}, "abc", nil},
		{"nothing at all", nil, "a", ErrTruncated},
		{"a run without a value", []byte{0xfe}, "aaa", ErrTruncated},
		{"fewer than announced", []byte{2, 'a', 'b'}, "abc", ErrTruncated},
		{"a run too short", []byte{0xff, 'a'}, "aaa", ErrTruncated},
	} {
		plane := make([]byte, len(c.want))
		err := Decode([][]byte{plane}, frame(c.segment...))
		if !errors.Is(err, c.err) || err == nil && string(plane) != c.want {
			t.Errorf("%s: %q, %v", c.name, plane, err)
		}
	}
}

func TestHeadersAreChecked(t *testing.T) {
	good := frame(0xfe, 'a')
	for name, spoil := range map[string]func(b []byte) []byte{
		"short":               func(b []byte) []byte { return b[:63] },
		"empty":               func([]byte) []byte { return nil },
		"two segments":        func(b []byte) []byte { b[0] = 2; return b },
		"4 billion segments":  func(b []byte) []byte { copy(b, "\xff\xff\xff\xff"); return b },
		"begins in the head":  func(b []byte) []byte { b[4] = 63; return b },
		"begins behind it":    func(b []byte) []byte { b[4] = 67; return b },
		"begins far behind":   func(b []byte) []byte { copy(b[4:], "\xff\xff\xff\xff"); return b },
		"cut within segments": func(b []byte) []byte { return b[:65] },
	} {
		plane := make([]byte, 3)
		if err := Decode([][]byte{plane}, spoil(bytes.Clone(good))); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTruncated) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const maxSegments = 15

// encode codes the planes of a frame, of at most fifteen. Runs do not cross rows, which are of so many bytes.
func encode(planes [][]byte, row int) ([]byte, error) {
	if len(planes) < 1 || len(planes) > maxSegments || row < 1 {
		return nil, fmt.Errorf("rle: %d planes of rows of %d bytes cannot be coded", len(planes), row)
	}
	out := make([]byte, headerBytes)
	binary.LittleEndian.PutUint32(out, uint32(len(planes)))
	for i, plane := range planes {
		binary.LittleEndian.PutUint32(out[4+4*i:], uint32(len(out)))
		for ; len(plane) > 0; plane = plane[min(row, len(plane)):] {
			out = pack(out, plane[:min(row, len(plane))])
		}
		if len(out)%2 != 0 {
			out = append(out, 0)
		}
	}
	return out, nil
}

// pack appends one row: runs of three and more, and what lies between them as it is.
func pack(out, row []byte) []byte {
	run := func(at int) int {
		n := 1
		for at+n < len(row) && row[at+n] == row[at] && n < 128 {
			n++
		}
		return n
	}
	for at := 0; at < len(row); {
		if n := run(at); n > 2 || at+n == len(row) && n == 2 {
			out = append(out, byte(1-n), row[at])
			at += n
			continue
		}
		from := at
		for at < len(row) && at-from < 128 && run(at) < 3 {
			at++
		}
		out = append(out, byte(at-from-1))
		out = append(out, row[from:at]...)
	}
	return out
}

// planes makes noise with runs in it.
func planes(r *rand.Rand, n, size int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		for len(all[i]) < size {
			v := byte(r.Intn(256))
			for range 1 + r.Intn(2)*r.Intn(300) {
				all[i] = append(all[i], v)
			}
		}
		all[i] = all[i][:size]
	}
	return all
}

func TestDecodeUndoesEncode(t *testing.T) {
	r := rand.New(rand.NewSource(4))
	for range 300 {
		want := planes(r, 1+r.Intn(maxSegments), 1+r.Intn(2000))
		coded, err := encode(want, 1+r.Intn(300))
		if err != nil {
			t.Fatal(err)
		}
		got := make([][]byte, len(want))
		for i := range got {
			got[i] = make([]byte, len(want[i]))
		}
		if err := Decode(got, coded); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("plane %d differs", i)
			}
		}
	}
	if _, err := encode(nil, 10); err == nil {
		t.Error("coded no plane")
	}
}

func TestTruncationNeverSucceeds(t *testing.T) {
	want := planes(rand.New(rand.NewSource(9)), 2, 500)
	coded, err := encode(want, 50)
	if err != nil {
		t.Fatal(err)
	}
	got := [][]byte{make([]byte, 500), make([]byte, 500)}
	whole := len(coded)
	for whole > 0 && coded[whole-1] == 0 && Decode(got, coded[:whole-1]) == nil {
		whole-- // the padding
	}
	for n := range whole {
		if err := Decode(got, coded[:n]); err == nil {
			t.Fatalf("%d of %d bytes decode", n, len(coded))
		}
	}
}

func FuzzDecode(f *testing.F) {
	coded, err := encode(planes(rand.New(rand.NewSource(1)), 2, 100), 10)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(coded)
	f.Add(frame(0xfe, 'a'))
	f.Fuzz(func(t *testing.T, b []byte) {
		for n := 1; n <= 4; n++ {
			got := make([][]byte, n)
			for i := range got {
				got[i] = make([]byte, 100)
			}
			if err := Decode(got, b); err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTruncated) {
				t.Error(err)
			}
		}
	})
}
