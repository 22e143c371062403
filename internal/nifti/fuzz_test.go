package nifti

import (
	"bytes"
	"errors"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
)

// FuzzNIfTI reads whatever comes, plain and as a gzip stream. More seeds lie in testdata/fuzz/FuzzNIfTI: files that are cut, damaged, or claim
// more than they hold.
func FuzzNIfTI(f *testing.F) {
	for name, img := range written() {
		f.Add(encode(f, name, img))
	}
	names, err := filepath.Glob(filepath.Join("testdata", "read_*"))
	if err != nil || len(names) < 7 {
		f.Fatalf("%d files to start from: %v", len(names), err)
	}
	for _, name := range names {
		f.Add(testFile(f, filepath.Base(name)))
	}
	opts := &Options{MaxBytes: 1 << 20}
	f.Fuzz(func(t *testing.T, file []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		img, err := Read(bytes.NewReader(file), opts)
		runtime.ReadMemStats(&after)
		if all := after.TotalAlloc - before.TotalAlloc; all > 4<<20 {
			t.Fatalf("%d bytes allocated for a file of %d", all, len(file))
		}
		plain := !bytes.HasPrefix(file, []byte{0x1f, 0x8b})
		if plain {
			again, zerr := Read(bytes.NewReader(huffman(file)), opts)
			if (err == nil) != (zerr == nil) || err == nil && !bytes.Equal(again.Data, img.Data) {
				t.Fatalf("plain: %v, gzipped: %v", err, zerr)
			}
		}
		if err != nil {
			var refused *Error
			if !errors.As(err, &refused) {
				t.Fatalf("not an Error: %v", err)
			}
			return
		}
		if img.Voxels()*img.DType.Size() != len(img.Data) {
			t.Fatalf("shape %v of %s with %d bytes", img.Shape, img.DType, len(img.Data))
		}
		if _, err := img.Labels(); err == nil {
			img.Value(img.Voxels() - 1)
		}
		var b bytes.Buffer
		if err := Write(&b, img); err != nil {
			t.Fatal(err)
		}
		back, err := Read(&b, opts)
		if err != nil {
			t.Fatalf("written file is not read: %v", err)
		}
		if !bytes.Equal(back.Data, img.Data) || !cmp.Equal(back.Shape, img.Shape) {
			t.Fatal("written file differs")
		}
	})
}

// huffman is gzipOf without a search for repetitions, which takes most of a run's time.
func huffman(b []byte) []byte {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.HuffmanOnly)
	if err == nil {
		_, err = z.Write(b)
		err = errors.Join(err, z.Close())
	}
	if err != nil {
		panic(err)
	}
	return out.Bytes()
}
