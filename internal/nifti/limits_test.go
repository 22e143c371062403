package nifti

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// emptyBlocks is a gzip stream that goes on without unpacking to anything: a header, then stored blocks of length 0 (RFC 1951, 3.2.4).
func emptyBlocks(n int) []byte {
	head := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}
	return append(head, bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, n)...)
}

func TestLimitsOfSize(t *testing.T) {
	plain := encode(t, "", written()["written_sheared.nii"]) // 3 x 2 x 2 bytes
	random := &Image{Shape: []int{40, 50, 60}, DType: Uint8, Data: make([]byte, 40*50*60)}
	for i, x := 0, uint32(1); i < len(random.Data); i++ {
		x = x*1664525 + 1013904223
		random.Data[i] = byte(x >> 24) // nothing to compress
	}
	zipped := encode(t, "a.gz", random)
	for _, c := range []struct {
		name string
		file []byte
		opts *Options
		code string
	}{
		{"padding after the voxels", gzipOf(append(bytes.Clone(plain), make([]byte, maxTrailing)...)), nil, ""},
		{"a stream that unpacks to more than its header claims", gzipOf(append(bytes.Clone(plain), make([]byte, 200<<20)...)), nil, CodeTooLarge},
		{"as many voxels as are allowed", zipped, &Options{MaxBytes: 120000}, ""},
		{"a voxel more", zipped, &Options{MaxBytes: 119999}, CodeTooLarge},
		{"as many compressed bytes as are allowed", zipped, &Options{MaxCompressed: int64(len(zipped))}, ""},
		{"a compressed byte more", zipped, &Options{MaxCompressed: int64(len(zipped)) - 1}, CodeTooLarge},
		{"a compressed file of many more", zipped, &Options{MaxCompressed: 1000}, CodeTooLarge},
		{"blocks of nothing", emptyBlocks(4000), &Options{MaxCompressed: 10000}, CodeTooLarge},
		{"a plain file is not compressed", plain, &Options{MaxCompressed: 10}, ""},
		{"as long as is allowed", zipped, &Options{MaxDimension: 60}, ""},
		{"longer", zipped, &Options{MaxDimension: 59}, CodeTooLarge},
		{"longer than any image", encode(t, "", &Image{Shape: []int{1, 1, 1 << 17}, DType: Uint8, Data: make([]byte, 1<<17)}), nil, CodeTooLarge},
	} {
		_, err := Read(bytes.NewReader(c.file), c.opts)
		code := ""
		if refused := (*Error)(nil); errors.As(err, &refused) {
			code = refused.Code
		}
		if code != c.code || (err == nil) != (code == "") {
			t.Errorf("%s: error is %v, want %q", c.name, err, c.code)
		}
	}
}

// zeros is a stream of n zero bytes that lies nowhere.
type zeros struct{ n int }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := min(len(p), z.n)
	clear(p[:n])
	z.n -= n
	return n, nil
}

func TestGzippedFilesAreReadAsAStream(t *testing.T) {
	const voxels = 256 * 256 * 1024
	head := encode(t, "", &Image{Shape: []int{1, 1, 1}, DType: Uint8, Data: []byte{0}})[:header1Size+extender]
	copy(head[42:], []byte{0, 1, 0, 1, 0, 4}) // 256 x 256 x 1,024
	from, to := io.Pipe()
	go func() {
		z := gzip.NewWriter(to)
		_, err := io.Copy(z, io.MultiReader(bytes.NewReader(head), &zeros{voxels}))
		to.CloseWithError(errors.Join(err, z.Close()))
	}()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	img, err := Read(from, nil)
	runtime.ReadMemStats(&after)
	if err != nil || len(img.Data) != voxels {
		t.Fatal(err)
	}
	// The buffers before the last hold a third of the voxels, the reader and the writer of the stream a few MB.
	if all := after.TotalAlloc - before.TotalAlloc; all > voxels+voxels/3+16<<20 {
		t.Errorf("%d bytes were allocated to read %d", all, voxels)
	}
}
