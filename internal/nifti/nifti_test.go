package nifti

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/cspine/cspine/internal/publicdata"
	"github.com/cspine/cspine/internal/volume"
)

var update = flag.Bool("update", false, "rewrite testdata/written_*; then run testdata/make_expected.py")

// expectation is what nibabel says of a file (testdata/make_expected.py).
type expectation struct {
	File   string
	Shape  []int
	DType  DType
	Affine volume.Affine
	QForm  *volume.Affine
	Values []float64
}

func expectations(t *testing.T) []expectation {
	t.Helper()
	var all []expectation
	if err := json.Unmarshal(testFile(t, "expected.json"), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func testFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadsWhatNibabelReads(t *testing.T) {
	for _, want := range expectations(t) {
		t.Run(want.File, func(t *testing.T) {
			img, err := Read(bytes.NewReader(testFile(t, want.File)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if img.DType != want.DType || !cmp.Equal(img.Shape, want.Shape) {
				t.Errorf("got %s %v, want %s %v", img.DType, img.Shape, want.DType, want.Shape)
			}
			if d := distance(img.Affine, want.Affine); d > 1e-12 {
				t.Errorf("affine is off by %g: got %v, want %v", d, img.Affine, want.Affine)
			}
			for i, v := range want.Values {
				if got := img.Value(i); got != v {
					t.Fatalf("voxel %d is %g, want %g", i, got, v)
				}
			}
		})
	}
}

func TestSharedCollectionAgreesWithNibabel(t *testing.T) {
	dir := publicdata.Path(t, "nifti")
	index, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		File   string `json:"f"`
		Affine []float64
		Sum    float64
		V      [2]float64 // at [1,2,3] and [6,0,1]
		Shape  []int
		BE     bool
	}
	if err := json.Unmarshal(index, &all); err != nil {
		t.Fatal(err)
	}
	good, broken := 0, 0
	for _, want := range all {
		file, err := os.ReadFile(filepath.Join(dir, want.File))
		if err != nil {
			t.Fatal(err)
		}
		img, err := Read(bytes.NewReader(file), nil)
		if len(want.Affine) == 0 {
			broken++
			if refused := (*Error)(nil); !errors.As(err, &refused) {
				t.Errorf("%s is broken, and reading it says %v", want.File, err)
			}
			continue
		}
		good++
		if err != nil {
			t.Errorf("%s: %v", want.File, err)
			continue
		}
		var sum float64
		for i := range img.Voxels() {
			sum += img.Value(i)
		}
		at := func(a, b, c int) float64 { return img.Value(a + img.Shape[0]*(b+img.Shape[1]*c)) }
		var affine volume.Affine
		for i := range 12 {
			affine[i/4][i%4] = want.Affine[i]
		}
		if !cmp.Equal(img.Shape, want.Shape) || math.Abs(sum-want.Sum) > 1e-9 ||
			at(1, 2, 3) != want.V[0] || at(6, 0, 1) != want.V[1] || distance(img.Affine, affine) > 1e-12 {
			t.Errorf("%s: got shape %v sum %g voxels %g %g affine %v, want %+v", want.File, img.Shape, sum, at(1, 2, 3), at(6, 0, 1), img.Affine, want)
		}
	}
	if good != 75 || broken != 4 {
		t.Errorf("%d good and %d broken files, want 75 and 4", good, broken)
	}
}

// written are the images whose files lie in testdata as written_*: Write's bytes must stay these, and
// nibabel has read them (expected.json).
func written() map[string]*Image {
	sheared := volume.Affine{{-.5, .02, .01, 100}, {.03, .6, .05, -50}, {0, -.06, 1.25, 30.5}}
	sagittal := volume.Affine{{0, 0, .75, -40.25}, {-.5, 0, 0, 60}, {0, -.5, 0, 12}}
	left := volume.Affine{{-.4, 0, 0, 90}, {0, .4, 0, -80}, {0, 0, 1, 70}}
	return map[string]*Image{
		"written_sheared.nii":     {Shape: []int{3, 2, 2}, DType: Uint8, Affine: sheared, Data: ramp(12, 1)},
		"written_sagittal.nii":    {Shape: []int{3, 2, 2}, DType: Int16, Affine: sagittal, Data: ramp(12, 2), Slope: 2, Inter: -1024},
		"written_left.nii.gz":     {Shape: []int{3, 2, 2}, DType: Float32, Affine: left, Data: floats(12)},
		"written_four_d.nii":      {Shape: []int{2, 2, 1, 2}, DType: Uint32, Affine: left, Data: ramp(8, 4)},
		"written_version2.nii.gz": {Version: 2, Shape: []int{3, 2, 2}, DType: Int64, Affine: sheared, Data: ramp(12, 8)},
	}
}

// ramp returns n little-endian integers of the given size: 0, 3, 6…
func ramp(n, size int) []byte {
	b := make([]byte, n*size)
	for i := range n {
		b[i*size] = byte(3 * i)
	}
	return b
}

func floats(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		bits := math.Float32bits(float32(i) / 3)
		b.Write([]byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)})
	}
	return b.Bytes()
}

func encode(t testing.TB, name string, img *Image) []byte {
	t.Helper()
	var b bytes.Buffer
	write := Write
	if strings.HasSuffix(name, ".gz") {
		write = WriteGz
	}
	if err := write(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWrittenFilesAreThoseThatNibabelRead(t *testing.T) {
	byFile := map[string]expectation{}
	for _, e := range expectations(t) {
		byFile[e.File] = e
	}
	for name, img := range written() {
		got := encode(t, name, img)
		if *update {
			if err := os.WriteFile(filepath.Join("testdata", name), got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		back, err := Read(bytes.NewReader(got), nil)
		if err != nil {
			t.Fatal(err)
		}
		stored := testFile(t, name)
		if want, err := Read(bytes.NewReader(stored), nil); err != nil || !cmp.Equal(want, back) {
			t.Errorf("%s: what is written now differs from the stored file", name)
		}
		if !strings.HasSuffix(name, ".gz") && !bytes.Equal(got, stored) {
			t.Errorf("%s: bytes differ from the stored file", name)
		}
		e := byFile[name]
		if d := distance(e.Affine, img.Affine); d > 1e-5 {
			t.Errorf("%s: nibabel's affine is off by %g", name, d)
		}
		if name == "written_sheared.nii" || name == "written_version2.nii.gz" {
			if e.QForm != nil {
				t.Errorf("%s: a sheared affine has no qform", name)
			}
			continue
		}
		if d := distance(*e.QForm, img.Affine); d > 1e-4 {
			t.Errorf("%s: nibabel's qform is off by %g", name, d)
		}
	}
}

func distance(a, b volume.Affine) float64 {
	worst := 0.0
	for i := range a {
		for j := range a[i] {
			worst = max(worst, math.Abs(a[i][j]-b[i][j]))
		}
	}
	return worst
}

func TestRefusals(t *testing.T) {
	good := encode(t, "", written()["written_sheared.nii"])
	zipped := encode(t, "a.gz", written()["written_sheared.nii"])
	edit := func(file []byte, at int, b ...byte) []byte {
		file = bytes.Clone(file)
		copy(file[at:], b)
		return file
	}
	for _, c := range []struct {
		name string
		file []byte
		opts *Options
		code string
	}{
		{"empty", nil, nil, CodeNotNIfTI},
		{"one byte", good[:1], nil, CodeTruncated},
		{"text", []byte("<html>this is no image</html>"), nil, CodeNotNIfTI},
		{"cut after the first field", good[:4], nil, CodeTruncated},
		{"cut in the header", good[:200], nil, CodeTruncated},
		{"cut before the voxels", good[:352], nil, CodeTruncated},
		{"cut in the voxels", good[:len(good)-1], nil, CodeTruncated},
		{"header of a pair", edit(good, 344, 'n', 'i', '1'), nil, CodePair},
		{"Analyze", edit(good, 344, 0, 0, 0), nil, CodeNotNIfTI},
		{"five dimensions", edit(good, 40, 5, 0), nil, CodeUnsupportedShape},
		{"two dimensions", edit(good, 40, 2, 0), nil, CodeUnsupportedShape},
		{"an empty dimension", edit(good, 42, 0, 0), nil, CodeMalformed},
		{"a negative dimension", edit(good, 42, 0xff, 0xff), nil, CodeMalformed},
		{"complex", edit(good, 70, 32, 0), nil, CodeUnsupportedType},
		{"voxels in the header", edit(good, 108, 0, 0, 0x80, 0x43), nil, CodeMalformed}, // 256
		{"offset NaN", edit(good, 108, 0, 0, 0xc0, 0x7f), nil, CodeMalformed},
		{"offset infinite", edit(good, 108, 0, 0, 0x80, 0x7f), nil, CodeMalformed},
		{"intercept NaN", edit(good, 116, 0, 0, 0xc0, 0x7f), nil, CodeMalformed},
		{"sform NaN", edit(good, 280, 0, 0, 0xc0, 0x7f), nil, CodeMalformed},
		{"a lie of 70 TB", edit(good, 42, 0xff, 0x7f, 0xff, 0x7f, 0xff, 0x7f), nil, CodeTooLarge},
		{"a lie of 1 GB", edit(good, 42, 0xe8, 3, 0xe8, 3, 0xe8, 3), nil, CodeTruncated},
		{"more than asked for", good, &Options{MaxBytes: 11}, CodeTooLarge},
		{"gzip cut in its header", zipped[:5], nil, CodeTruncated},
		{"gzip cut", zipped[:len(zipped)-12], nil, CodeTruncated},
		{"gzip damaged", edit(zipped, 40, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), nil, CodeMalformed},
		{"gzip checksum", edit(zipped, len(zipped)-8, 1, 2, 3, 4), nil, CodeMalformed},
		{"gzip within gzip", gzipOf(zipped), nil, CodeNotNIfTI},
	} {
		_, err := Read(bytes.NewReader(c.file), c.opts)
		var refused *Error
		if !errors.As(err, &refused) || refused.Code != c.code {
			t.Errorf("%s: error is %v, want %s", c.name, err, c.code)
		}
	}
	if _, err := Read(bytes.NewReader(good), &Options{MaxBytes: 12}); err != nil {
		t.Errorf("12 bytes of voxels with 12 allowed: %v", err)
	}
}

// A source's own failure is no verdict on the file.
func TestReadersErrorIsPassedOn(t *testing.T) {
	broken := errors.New("network is gone")
	good := encode(t, "", written()["written_sheared.nii"])
	for _, n := range []int{0, 4, 100, 355} {
		_, err := Read(io.MultiReader(bytes.NewReader(good[:n]), errReader{broken}), nil)
		var refused *Error
		if !errors.Is(err, broken) || errors.As(err, &refused) {
			t.Errorf("failing after %d bytes: error is %v", n, err)
		}
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestLyingHeaderAllocatesLittle(t *testing.T) {
	file := encode(t, "", written()["written_sheared.nii"])
	copy(file[42:], []byte{0xe8, 3, 0xe8, 3, 0xe8, 3}) // 1,000 x 1,000 x 1,000
	perRead := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Read(bytes.NewReader(file), nil); err == nil {
				b.Fatal("read")
			}
		}
	}).AllocedBytesPerOp()
	if perRead > 4<<20 {
		t.Errorf("%d bytes allocated for a file of %d", perRead, len(file))
	}
}

func gzipOf(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(b)
	if err = errors.Join(err, z.Close()); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func TestLabelsOfEveryType(t *testing.T) {
	want := []uint8{0, 1, 7, 200}
	for _, dt := range datatypes {
		if dt.dtype == Int8 {
			continue // holds no 200; below
		}
		img := &Image{Shape: []int{4, 1, 1}, DType: dt.dtype, Data: make([]byte, 4*dt.size)}
		for i, v := range want {
			put(img, i, float64(v))
		}
		got, err := img.Labels()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %v, %v", dt.dtype, got, err)
		}
	}
	scaled := &Image{Shape: []int{3, 1, 1}, DType: Int8, Data: []byte{0, 0xff, 2}, Slope: 3, Inter: 3}
	if got, err := scaled.Labels(); err != nil || !bytes.Equal(got, []byte{3, 0, 9}) {
		t.Errorf("scaled: got %v, %v", got, err)
	}
}

func TestWhatIsNoLabelIsRefused(t *testing.T) {
	for _, c := range []struct {
		dtype DType
		value float64
	}{{Int8, -1}, {Int16, -1}, {Int16, 256}, {Uint16, 300}, {Float32, 1.5}, {Float64, math.NaN()}, {Int64, 1e6}, {Float32, math.Inf(1)}} {
		img := &Image{Shape: []int{2, 1, 1}, DType: c.dtype, Data: make([]byte, 2*c.dtype.Size())}
		put(img, 1, c.value)
		var refused *Error
		if _, err := img.Labels(); !errors.As(err, &refused) || refused.Code != CodeNotLabels {
			t.Errorf("%s %g: error is %v", c.dtype, c.value, err)
		}
	}
}

// put stores a value in an image's type.
func put(im *Image, i int, v float64) {
	var bits uint64
	switch im.DType {
	case Float32:
		bits = uint64(math.Float32bits(float32(v)))
	case Float64:
		bits = math.Float64bits(v)
	default:
		bits = uint64(int64(v))
	}
	for k := range im.DType.Size() {
		im.Data[i*im.DType.Size()+k] = byte(bits >> (8 * k))
	}
}

func TestWriteRefusesWhatContradictsItself(t *testing.T) {
	for name, img := range map[string]*Image{
		"no shape":       {DType: Uint8},
		"short of data":  {Shape: []int{2, 2, 2}, DType: Uint8, Data: make([]byte, 7)},
		"unknown type":   {Shape: []int{1, 1, 1}, DType: "bool", Data: make([]byte, 1)},
		"negative":       {Shape: []int{-1, 1, -1}, DType: Uint8, Data: make([]byte, 1)},
		"long version 1": {Version: 1, Shape: []int{40000, 1, 1}, DType: Uint8, Data: make([]byte, 40000)},
	} {
		var b bytes.Buffer
		if err := Write(&b, img); err == nil || b.Len() > 0 {
			t.Errorf("%s: error %v after %d bytes", name, err, b.Len())
		}
	}
	long := &Image{Shape: []int{40000, 1, 1}, DType: Uint8, Data: make([]byte, 40000)}
	if back, err := Read(bytes.NewReader(encode(t, "", long)), nil); err != nil || back.Version != 2 {
		t.Errorf("a dimension of 40000 is written as version 2: %v", err)
	}
}

func TestQuaternionCoversEveryTurn(t *testing.T) {
	signs := []float64{-1, 1}
	for _, p := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		for k := range 8 {
			var m volume.Affine
			for j := range 3 {
				m[p[j]][j] = signs[k>>j&1] * (1 + float64(j)/2)
			}
			img := &Image{Shape: []int{2, 2, 2}, DType: Uint8, Affine: m, Data: make([]byte, 8)}
			file := encode(t, "", img)
			copy(file[254:], []byte{0, 0}) // no sform: the qform speaks
			back, err := Read(bytes.NewReader(file), nil)
			if err != nil || distance(back.Affine, m) > 1e-6 {
				t.Errorf("%v: got %v, %v", m, back.Affine, err)
			}
		}
	}
}

func BenchmarkRead(b *testing.B) {
	// A label map as large as a study's: 300 slices of 512x512, mostly background.
	img := &Image{Shape: []int{512, 512, 300}, DType: Uint8, Affine: volume.Affine{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}}
	img.Data = make([]byte, img.Voxels())
	for i := range img.Data {
		if x := i % 512; x > 200 && x < 300 {
			img.Data[i] = byte(1 + i/(512*512*43))
		}
	}
	for _, name := range []string{"plain.nii", "packed.nii.gz"} {
		file := encode(b, name, img)
		b.Run(fmt.Sprintf("%s/%dMB", name, len(file)>>20), func(b *testing.B) {
			b.SetBytes(int64(len(img.Data)))
			for b.Loop() {
				if _, err := Read(bytes.NewReader(file), nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
