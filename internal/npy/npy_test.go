package npy

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What numpy 2.4.6 writes for np.save(f, np.arange(6, dtype=np.uint8).reshape(2, 3)) and for
// np.save(f, np.array([1, -2], dtype=np.int16)).
var numpyFiles = []struct {
	name, file string
	dtype      DType
	shape      []int
	data       []byte
}{
	{"uint8 2x3", "934e554d5059010076007b276465736372273a20277c7531272c2027666f727472616e5f6f72646572273a2046616c73652c20277368617065273a2028322c2033292c207d" +
		spaces(58) + "0a000102030405", Uint8, []int{2, 3}, []byte{0, 1, 2, 3, 4, 5}},
	{"int16 2", "934e554d5059010076007b276465736372273a20273c6932272c2027666f727472616e5f6f72646572273a2046616c73652c20277368617065273a2028322c292c207d" +
		spaces(60) + "0a0100feff", Int16, []int{2}, []byte{1, 0, 0xfe, 0xff}},
}

func spaces(n int) string { return hex.EncodeToString(bytes.Repeat([]byte{' '}, n)) }

func TestWritesWhatNumpyWrites(t *testing.T) {
	for _, c := range numpyFiles {
		want, err := hex.DecodeString(c.file)
		if err != nil {
			t.Fatal(err)
		}
		a := New(c.dtype, c.shape...)
		copy(a.Data, c.data)
		if diff := cmp.Diff(want, a.Bytes()); diff != "" {
			t.Errorf("%s (-numpy +ours):\n%s", c.name, diff)
		}
		got, err := Decode(want)
		if err != nil {
			t.Fatal(err)
		}
		if got.DType != c.dtype || !cmp.Equal(got.Shape, c.shape) || !bytes.Equal(got.Data, c.data) {
			t.Errorf("%s: read %s %v %v", c.name, got.DType, got.Shape, got.Data)
		}
	}
}

func TestRefusesWhatIsNotAnArray(t *testing.T) {
	good := FromUint8([]uint8{1, 2, 3, 4}, 2, 2).Bytes()
	for _, c := range []struct {
		name string
		file []byte
	}{
		{"empty", nil},
		{"no magic", []byte("not an array at all")},
		{"cut in the header", good[:40]},
		{"cut in the data", good[:len(good)-1]},
		{"one byte too many", append(append([]byte(nil), good...), 0)},
		{"other version", append([]byte("\x93NUMPY\x02\x00"), good[8:]...)},
		{"huge shape", bytes.Replace(good, []byte("(2, 2), }        "), []byte("(9999999999, 99)}"), 1)},
		{"object type", bytes.Replace(good, []byte("|u1"), []byte("|O8"), 1)},
		{"Fortran order", bytes.Replace(good, []byte("False, "), []byte("True,  "), 1)},
	} {
		if _, err := Decode(c.file); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error is %v, want ErrMalformed", c.name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(FromUint8([]uint8{1, 2, 3, 4}, 2, 2).Bytes())
	f.Add(New(Float32, 3).Bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		a, err := Decode(file)
		if err != nil {
			return
		}
		n := a.DType.Size()
		for _, d := range a.Shape {
			n *= d
		}
		if n != len(a.Data) {
			t.Fatalf("shape %v of %s with %d bytes", a.Shape, a.DType, len(a.Data))
		}
	})
}

func TestMemoryThatIsUsedAgainIsClean(t *testing.T) {
	for range 50 { // a pool may forget
		a := New(Uint8, 3, 5)
		for i, v := range a.Data {
			if v != 0 {
				t.Fatalf("value %d of a new array is %d", i, v)
			}
		}
		if got, err := Decode(a.Bytes()); err != nil || len(got.Shape) != 2 || got.Shape[1] != 5 {
			t.Fatalf("%v, %v", got, err)
		}
		for i := range a.Bytes() {
			a.file[i] = 0xFF
		}
		a.Release()
		if a.Data != nil || a.Bytes() != nil {
			t.Fatal("a released array still shows its memory")
		}
		a.Release()            // nothing more happens
		b := New(Int16, 15, 1) // as many bytes, or others: its header is its own
		if _, err := Decode(b.Bytes()); err != nil {
			t.Fatal(err)
		}
		b.Release()
	}
	(*Array)(nil).Release()
}
