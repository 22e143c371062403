package dicom

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cspine/cspine/internal/dicom/jpegll"
	"github.com/cspine/cspine/internal/volume"
)

// expected is what pydicom made of a file (one line of dicom-expected.jsonl).
type expected struct {
	File           string         `json:"file"`
	Read           string         `json:"read"`
	TransferSyntax TransferSyntax `json:"transfer_syntax"`
	Modality       string         `json:"modality"`
	Rows           int            `json:"rows"`
	Columns        int            `json:"columns"`
	Frames         int            `json:"frames"`
	Samples        int            `json:"samples"`
	BitsAllocated  int            `json:"bits_allocated"`
	Pixels         string         `json:"pixels"`
	FrameSHA256    []string       `json:"frame_sha256"`
	FrameSum       []float64      `json:"frame_sum"`
}

func testData(t testing.TB) string {
	dir := os.Getenv("CSPINE_TESTDATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(filepath.Join(dir, "dicom-expected.jsonl")); err != nil {
		t.Skip("the public DICOM files are not here; CSPINE_TESTDATA names their folder")
	}
	return dir
}

func readExpected(t testing.TB, file string) (all []expected) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e expected
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func samplesSHA256(s volume.Slice) string {
	h := sha256.New()
	b := make([]byte, 0, 4*len(s.Pix))
	for _, v := range s.Pix {
		b = binary.LittleEndian.AppendUint32(b, uint32(int32(v)+s.Bias))
	}
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil))
}

// skipped are the reasons why a file of the public set is refused, with the code of the error it must then
// give. The first that holds counts.
var skipped = []struct {
	reason string
	code   string
	holds  func(e *expected) bool
}{
	{"elements without VR in an explicit data set", Malformed, oneOf("SC_rgb_jpeg.dcm")},
	{"colour", UnsupportedPixels, func(e *expected) bool { return e.Samples != 1 }},
}

func oneOf(names ...string) func(*expected) bool {
	return func(e *expected) bool { return slices.Contains(names, path.Base(e.File)) }
}

// readHere are files that pydicom's decoders give up on, and whose pixels are there: colour indices in a file without a transfer
// syntax, and a JPEG image of twelve bits, sequential, whose scan header its decoder rejects.
var readHere = oneOf("OT-PAL-8-face.dcm", "JPEG-lossy.dcm")

// decodeFile reads the header and up to four frames of a file of any modality, as the sums that the expected values have.
func decodeFile(file []byte) (frames []frameSums, err error) {
	h, err := ReadHeader(bytes.NewReader(file), int64(len(file)), &Options{HeaderOnly: true})
	if err != nil {
		return nil, err
	}
	if h.Pixels.Offset == 0 {
		return nil, h.Pixels.check()
	}
	value, err := h.Pixels.Value(file)
	if err != nil {
		return nil, err
	}
	for k := range min(h.Pixels.Frames, 4) {
		s, err := DecodeSamples(value, h.Pixels, k)
		if err != nil {
			return frames, err
		}
		frames = append(frames, s.sum())
	}
	return frames, nil
}

// frameSums are the SHA-256 of a frame's values, whole numbers as int32 and others as float64, little endian, and their sum.
type frameSums struct {
	sha256 string
	total  float64
}

func (s *Samples) sum() (f frameSums) {
	b := make([]byte, 0, 4*len(s.Int)+8*len(s.Float))
	for _, v := range s.Int {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
		f.total += float64(v)
	}
	for _, v := range s.Float {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		f.total += v
	}
	sum := sha256.Sum256(b)
	f.sha256 = hex.EncodeToString(sum[:])
	return f
}

func codeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestSamplesEqualPydicoms(t *testing.T) {
	// A few small files are always here: one for every kind of coding that this package doesn't write.
	if equal, lossy := compareSamples(t, filepath.Join("testdata", "pydicom", "expected.jsonl"), filepath.Join("testdata", "pydicom")); equal != 11 || lossy != 1 {
		t.Errorf("%d files were compared, and %d by their sums; want 11 and 1", equal, lossy)
	}
	dir := testData(t)
	if equal, lossy := compareSamples(t, filepath.Join(dir, "dicom-expected.jsonl"), filepath.Join(dir, "dicom")); equal != 127 || lossy != 3 {
		t.Errorf("%d files were compared, and %d by their sums; want 127 and 3", equal, lossy)
	}
}

// compareSamples compares up to four frames of each file with what pydicom made of them. Files of lossy JPEG are compared by sums alone.
func compareSamples(t *testing.T, values, dir string) (equal, lossy int) {
	t.Helper()
next:
	for _, e := range readExpected(t, values) {
		b, err := os.ReadFile(filepath.Join(dir, e.File))
		if err != nil {
			t.Fatal(err)
		}
		frames, err := decodeFile(b)
		if e.Pixels != "ok" { // nor may we make up what pydicom does not find
			if codeOf(err) == "" && !readHere(&e) {
				t.Errorf("%s: no pixels for pydicom, here error %v", e.File, err)
			}
			continue
		}
		for _, skip := range skipped {
			if skip.holds(&e) {
				if codeOf(err) != skip.code {
					t.Errorf("%s: %s, but error %v, want %s", e.File, skip.reason, err, skip.code)
				}
				continue next
			}
		}
		if err != nil {
			t.Errorf("%s: %v", e.File, err)
			continue
		}
		if e.TransferSyntax == JPEGExtended {
			// Decoders of lossy JPEG may differ by one; pydicom's differs from ours in 3 % of the samples.
			for k, s := range frames {
				if off := math.Abs(s.total - e.FrameSum[k]); off > .05*float64(e.Rows*e.Columns) {
					t.Errorf("%s: frame %d sums to %v, pydicom's to %v", e.File, k, s.total, e.FrameSum[k])
				}
			}
			lossy++
			continue
		}
		var sums []string
		for _, s := range frames {
			sums = append(sums, s.sha256)
		}
		if diff := cmp.Diff(e.FrameSHA256, sums); diff != "" {
			t.Errorf("%s, %s, %d bits: pydicom -, ours +:\n%s", e.File, e.TransferSyntax.Name(), e.BitsAllocated, diff)
			continue
		}
		equal++
	}
	return equal, lossy
}

func TestSplitFramesEqualThoseOfTheWhole(t *testing.T) {
	dir := testData(t)
	split := 0
	for _, e := range readExpected(t, filepath.Join(dir, "dicom-expected.jsonl")) {
		if e.Frames < 2 || e.Samples != 1 || e.Pixels != "ok" {
			continue
		}
		file, err := os.ReadFile(filepath.Join(dir, "dicom", e.File))
		if err != nil {
			t.Fatal(err)
		}
		h, err := ReadHeader(bytes.NewReader(file), int64(len(file)), &Options{HeaderOnly: true})
		if err != nil {
			t.Fatal(e.File, err)
		}
		all, err := h.Split()
		if err != nil && e.BitsAllocated >= 8 {
			t.Errorf("%s: %v", e.File, err)
		}
		whole, err := h.Pixels.Value(file)
		if err != nil {
			t.Fatal(e.File, err)
		}
		for k, one := range all {
			value, err := one.Pixels.Value(file)
			if err != nil {
				t.Fatal(e.File, err)
			}
			want, err := DecodeSamples(whole, h.Pixels, k)
			if err != nil {
				t.Fatal(e.File, err)
			}
			if s, err := DecodeSamples(value, one.Pixels, 0); err != nil || s.sum() != want.sum() {
				t.Errorf("%s, frame %d: other samples, %v", e.File, k, err)
			}
			split++
		}
	}
	if split < 10 {
		t.Errorf("%d frames were compared", split)
	}
}

func TestHeadersEqualPydicoms(t *testing.T) {
	dir := testData(t)
	b, err := os.ReadFile(filepath.Join("testdata", "headers.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]Header
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for name, want := range all {
		f, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadHeader(bytes.NewReader(f), int64(len(f)), &Options{HeaderOnly: true})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got.Pixels.Offset, got.Pixels.Length = 0, 0 // pydicom does not say them
		if diff := cmp.Diff(&want, got, cmpopts.IgnoreUnexported(Header{})); diff != "" {
			t.Errorf("%s, pydicom -, ours +:\n%s", name, diff)
		}
	}
}

func TestColourJPEGLosslessEqualsPydicoms(t *testing.T) {
	dir := testData(t)
	for _, e := range readExpected(t, filepath.Join(dir, "dicom-expected.jsonl")) {
		if path.Base(e.File) != "SC_rgb_jpeg_gdcm.dcm" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, "dicom", e.File))
		if err != nil {
			t.Fatal(err)
		}
		h, err := ReadHeader(bytes.NewReader(b), int64(len(b)), &Options{HeaderOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		image, err := h.Pixels.fragments(b[h.Pixels.Offset:], 0)
		if err != nil {
			t.Fatal(err)
		}
		pix := make([]uint16, e.Rows*e.Columns*e.Samples)
		if _, err := jpegll.Decode(image, pix); err != nil {
			t.Fatal(err)
		}
		if got := samplesSHA256(volume.Slice{Pix: pix}); got != e.FrameSHA256[0] {
			t.Errorf("samples %s, pydicom's %s", got, e.FrameSHA256[0])
		}
		return
	}
	t.Error("the file is not in the set")
}
