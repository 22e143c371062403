package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/internal/source"
)

// labelFile writes a label file into a data set: a header for the shape, then what is copied from voxels.
func labelFile(t *testing.T, name string, shape []int, voxels io.Reader) (*source.Source, source.Object) {
	t.Helper()
	var small bytes.Buffer
	if err := nifti.Write(&small, &nifti.Image{Shape: []int{1, 1, 1}, DType: nifti.Uint8, Data: []byte{1}}); err != nil {
		t.Fatal(err)
	}
	head := small.Bytes()[:small.Len()-1]
	for axis, n := range shape {
		binary.LittleEndian.PutUint16(head[42+2*axis:], uint16(n)) // dim[1] …
	}
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	var out io.WriteCloser = f
	if strings.HasSuffix(name, ".gz") {
		out = gzip.NewWriter(f)
	}
	_, err = io.Copy(out, io.MultiReader(bytes.NewReader(head), voxels))
	if err := errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
	_ = f.Close() // again, where there is no gzip stream
	data, err := source.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = data.Close() })
	file, err := data.Stat(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return data, file
}

// noise are so many bytes that can't be compressed.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func TestLabelFilesAreReadAsAStream(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine alone: -short is for the race detector")
	}
	const voxels = 256 * 256 * 512
	want := noise(voxels)
	for _, name := range []string{"labels.nii", "labels.nii.gz"} {
		data, file := labelFile(t, name, []int{256, 256, 512}, bytes.NewReader(want))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		img, err := readLabels(t.Context(), data, file)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(img.Data, want) || !cmp.Equal(img.Shape, []int{256, 256, 512}) {
			t.Errorf("%s: other labels", name)
		}
		// The buffers before the last hold a third of the voxels. The file itself is nowhere held whole.
		if all := after.TotalAlloc - before.TotalAlloc; all > voxels+voxels/3+16<<20 {
			t.Errorf("%s: %d bytes were allocated for %d voxels", name, all, voxels)
		}
	}
}

func TestLabelFilesThatUnpackToMoreThanTheyMayAreRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine alone: -short is for the race detector")
	}
	const bomb = 100 << 20
	for _, c := range []struct {
		name   string
		shape  []int
		voxels io.Reader
		code   string
	}{
		{"a stream that goes on behind its voxels", []int{8, 8, 8}, io.LimitReader(zeros{}, bomb), nifti.CodeTooLarge},
		{"more voxels than may be held", []int{4096, 4096, 4096}, io.LimitReader(zeros{}, bomb), nifti.CodeTooLarge},
		{"fewer voxels than it claims", []int{1024, 1024, 512}, io.LimitReader(zeros{}, 1<<20), nifti.CodeTruncated},
	} {
		data, file := labelFile(t, "labels.nii.gz", c.shape, c.voxels)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readLabels(t.Context(), data, file)
		runtime.ReadMemStats(&after)
		if refused, ok := errors.AsType[*nifti.Error](err); !ok || refused.Code != c.code {
			t.Errorf("%s: error %v, want %s", c.name, err, c.code)
		}
		if all := after.TotalAlloc - before.TotalAlloc; all > 16<<20 {
			t.Errorf("%s: %d bytes were allocated for a file of %d", c.name, all, file.Size)
		}
	}
}

func TestALabelFileThatChangedIsNoLabelFile(t *testing.T) {
	data, file := labelFile(t, "labels.nii.gz", []int{8, 8, 8}, bytes.NewReader(noise(512)))
	file.Size--
	if _, err := readLabels(t.Context(), data, file); !errors.Is(err, source.ErrChanged) {
		t.Errorf("error %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
