package unzstd

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// each runs a test with the Go decoder and, where there is one, with the system's library.
func each(t *testing.T, test func(t *testing.T)) {
	was := system
	defer func() { system = was }()
	lib := was()
	system = func() *library { return nil }
	t.Run("go", test)
	if lib == nil {
		t.Log("there is no libzstd on this system: the Go decoder alone is tested")
		return
	}
	system = func() *library { return lib }
	t.Run("libzstd", test)
}

func frames(t testing.TB) (contents, packed [][]byte) {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 100, 70_000, 400_000} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.IntN(20) * r.IntN(5))
		}
		contents, packed = append(contents, b), append(packed, e.EncodeAll(b, nil))
	}
	return contents, packed
}

func TestContentComesBack(t *testing.T) {
	contents, packed := frames(t)
	each(t, func(t *testing.T) {
		for i, f := range packed {
			for _, room := range []int{len(contents[i]), Room(len(contents[i]))} {
				got, err := Decode(make([]byte, 0, room), f)
				if err != nil || !bytes.Equal(got, contents[i]) {
					t.Errorf("%d bytes in room for %d: %d come back, %v", len(contents[i]), room, len(got), err)
				}
			}
		}
	})
}

func TestNothingIsWrittenBeyondTheRoom(t *testing.T) {
	contents, packed := frames(t)
	each(t, func(t *testing.T) {
		for i, f := range packed {
			n := len(contents[i]) - 1
			memory := bytes.Repeat([]byte{0xA5}, n+100)
			if _, err := Decode(memory[:0:n], f); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%d bytes in room for %d: %v", n+1, n, err)
			}
			if !bytes.Equal(memory[n:], bytes.Repeat([]byte{0xA5}, 100)) {
				t.Errorf("%d bytes in room for %d: memory behind it has changed", n+1, n)
			}
		}
	})
}

func TestDamageIsAnError(t *testing.T) {
	contents, packed := frames(t)
	each(t, func(t *testing.T) {
		room := make([]byte, 0, Room(len(contents[3])))
		for _, bad := range [][]byte{nil, {}, {1, 2, 3}, []byte("no frame at all"), packed[3][:len(packed[3])/2], packed[3][:5]} {
			if _, err := Decode(room, bad); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%d bytes of no frame: %v", len(bad), err)
			}
		}
		r := rand.New(rand.NewPCG(3, 4))
		for range 500 {
			mutant := bytes.Clone(packed[2])
			for range 1 + r.IntN(4) {
				mutant[r.IntN(len(mutant))] ^= byte(1 + r.IntN(255))
			}
			if got, err := Decode(room, mutant); err != nil && !errors.Is(err, ErrCorrupt) || err == nil && len(got) > cap(room) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
		}
	})
}

func TestManyGoroutinesAtOnce(t *testing.T) {
	contents, packed := frames(t)
	each(t, func(t *testing.T) {
		var all sync.WaitGroup
		for g := range 8 {
			all.Go(func() {
				for k := range 50 {
					i := (g + k) % len(packed)
					if got, err := Decode(make([]byte, 0, Room(len(contents[i]))), packed[i]); err != nil || !bytes.Equal(got, contents[i]) {
						t.Errorf("content %d comes back changed, or %v", i, err)
					}
				}
			})
		}
		all.Wait()
	})
}

func TestAMissingLibraryIsNoError(t *testing.T) {
	if load("no-such-library.so") != nil {
		t.Error("a library that does not exist was loaded")
	}
}

func FuzzDecode(f *testing.F) {
	_, packed := frames(f)
	for _, p := range packed[:3] {
		f.Add(p)
	}
	lib := system()
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) == 0 || lib == nil {
			return
		}
		theirs, err1 := lib.decode(make([]byte, 1<<17), frame)
		ours, err2 := decoder().DecodeAll(frame, make([]byte, 0, 1<<17))
		// Where both read a frame they must agree; what is damaged one may notice and the other not.
		if err1 == nil && err2 == nil && !bytes.Equal(theirs, ours) {
			t.Error("libzstd and the Go decoder disagree")
		}
	})
}
