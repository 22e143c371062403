package dicom

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	Samples        int            `json:"samples"`
	BitsAllocated  int            `json:"bits_allocated"`
	Pixels         string         `json:"pixels"`
	FrameSHA256    []string       `json:"frame_sha256"`
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

func readExpected(t testing.TB, dir string) (all []expected) {
	b, err := os.ReadFile(filepath.Join(dir, "dicom-expected.jsonl"))
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
	{"palette: stored values are no intensities", UnsupportedPixels,
		oneOf("OBXXXX1A.dcm", "OBXXXX1A_2frame.dcm", "gdcm-US-ALOKA-16.dcm", "examples_palette.dcm")},
	{"a transfer syntax that is not read", UnsupportedSyntax, func(e *expected) bool { return !e.TransferSyntax.Supported() }},
	{"colour", UnsupportedPixels, func(e *expected) bool { return e.Samples != 1 }},
	{"samples of 1, 32 or 64 bits", UnsupportedPixels, func(e *expected) bool { return e.BitsAllocated != 8 && e.BitsAllocated != 16 }},
}

func oneOf(names ...string) func(*expected) bool {
	return func(e *expected) bool { return slices.Contains(names, path.Base(e.File)) }
}

// decodeFile reads the header and the first frame of a file of any modality.
func decodeFile(b []byte) (volume.Slice, error) {
	h, err := ReadHeader(bytes.NewReader(b), int64(len(b)), &Options{HeaderOnly: true})
	if err != nil {
		return volume.Slice{}, err
	}
	if h.Pixels.Offset == 0 {
		return volume.Slice{}, h.Pixels.check()
	}
	return DecodeFrame(b[h.Pixels.Offset:h.Pixels.Offset+h.Pixels.Length], h.Pixels, nil)
}

func codeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestSamplesEqualPydicoms(t *testing.T) {
	dir := testData(t)
	equal := 0
next:
	for _, e := range readExpected(t, dir) {
		b, err := os.ReadFile(filepath.Join(dir, "dicom", e.File))
		if err != nil {
			t.Fatal(err)
		}
		s, err := decodeFile(b)
		if e.Pixels != "ok" { // nor may we make up what pydicom does not find
			if codeOf(err) == "" {
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
		if got := samplesSHA256(s); got != e.FrameSHA256[0] {
			t.Errorf("%s: samples %s, pydicom's %s", e.File, got, e.FrameSHA256[0])
		}
		equal++
	}
	if equal < 60 {
		t.Errorf("only %d files were compared", equal)
	}
	t.Logf("%d files equal", equal)
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
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s, pydicom -, ours +:\n%s", name, diff)
		}
	}
}

func TestColourJPEGLosslessEqualsPydicoms(t *testing.T) {
	dir := testData(t)
	for _, e := range readExpected(t, dir) {
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
		image, err := h.Pixels.firstFrame(b[h.Pixels.Offset:])
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
