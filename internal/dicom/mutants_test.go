package dicom

import (
	"bytes"
	"encoding/binary"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// mutant spoils a file, and returns it with the first and the last byte that were touched.
func mutant(r *rand.Rand, file, other []byte) (b []byte, from, to int) {
	b = bytes.Clone(file)
	// Half of all damage is done to the header, where it does most.
	at := func() int {
		n := len(b)
		if r.Intn(2) == 0 {
			n = min(n, 2000)
		}
		return r.Intn(n)
	}
	from, to = len(b), 0
	touch := func(i, n int) { from, to = min(from, i), max(to, i+n) }
	switch r.Intn(5) {
	case 0: // cut
		n := at()
		touch(n, len(b)-n)
		b = b[:n]
	case 1: // flipped bits
		for range 1 + r.Intn(8) {
			i := at()
			b[i] ^= 1 << r.Intn(8)
			touch(i, 1)
		}
	case 2: // a part of another file
		i := at()
		start := r.Intn(len(other))
		n := copy(b[i:], other[start:min(len(other), start+1+r.Intn(400))])
		touch(i, n)
	case 3: // a length that claims much
		i := at()
		n := copy(b[i:], binary.LittleEndian.AppendUint32(nil, uint32(1)<<(16+r.Intn(16))-uint32(r.Intn(2))))
		touch(i, n)
	default: // a part left out
		i := at()
		n := min(len(b)-i, 1+r.Intn(50))
		touch(i, len(b)-i)
		b = slices.Delete(b, i, i+n)
	}
	return b, from, to
}

// TestMutants spoils public files. Each must be refused with a code, or give the values of the sound file, unless its pixel data were
// touched or its pixel format is another. CSPINE_TEST_FULL=1 makes ten thousand.
func TestMutants(t *testing.T) {
	dirs := []string{filepath.Join("testdata", "pydicom")}
	n := 1000
	if os.Getenv("CSPINE_TEST_FULL") != "" {
		n, dirs = 10000, append(dirs, filepath.Join(testData(t), "dicom"))
	}
	type original struct {
		name   string
		file   []byte
		format PixelFormat
		frames []Digest
	}
	var all []original
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			file, err := os.ReadFile(name)
			if err != nil || len(file) == 0 || len(file) > 1<<20 {
				return err
			}
			o := original{name: name, file: file}
			if h, err := ReadHeader(bytes.NewReader(file), int64(len(file)), &Options{HeaderOnly: true}); err == nil {
				o.format = h.Pixels
				o.frames, _ = decodeFile(file)
			}
			all = append(all, o)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	r := rand.New(rand.NewSource(1))
	refused, equal, changed := 0, 0, 0
	for range n {
		o, other := all[r.Intn(len(all))], all[r.Intn(len(all))]
		b, from, to := mutant(r, o.file, other.file)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		frames, err := decodeFile(b)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 512<<20 {
			t.Errorf("%s, bytes %d to %d: %d MiB", o.name, from, to, got>>20)
		}
		switch {
		case err != nil && codeOf(err) == "":
			t.Errorf("%s, bytes %d to %d: an error without a code: %v", o.name, from, to, err)
		case err != nil:
			refused++
		case slices.Equal(frames, o.frames):
			equal++
		default:
			changed++
			h, err := ReadHeader(bytes.NewReader(b), int64(len(b)), &Options{HeaderOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			if int64(to) <= o.format.Offset && h.Pixels == o.format {
				t.Errorf("%s, bytes %d to %d: other values, of the same format and from the same pixel data", o.name, from, to)
			}
		}
	}
	if refused == 0 || equal == 0 || changed == 0 {
		t.Errorf("%d refused, %d equal, %d changed", refused, equal, changed)
	}
	t.Logf("%d mutants: %d refused, %d equal, %d with other pixels", n, refused, equal, changed)
}
