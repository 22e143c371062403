package nifti

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/internal/publicdata"
	"github.com/cspine/cspine/internal/volume"
)

// reference is what nibabel reads from a file of the public test data (testdata/make_shared.py).
type reference struct {
	File    string
	Shape   []int
	DType   DType
	Affine  volume.Affine
	SHA256  string // of all scaled values as float64
	Refused string // nibabel's exception
}

// refusals are the reasons for which the public data's broken files are refused.
var refusals = map[string]string{
	"nifti/badgz.nii.gz": CodeTruncated,        // a gzip stream that is cut
	"nifti/bomb.nii":     CodeUnsupportedShape, // 632 bytes that claim seven axes, six of them of 32,767
	"nifti/trunc.nii":    CodeTruncated,        // cut in its voxels
	"nifti/trunchdr.nii": CodeTruncated,        // cut in its header
}

func TestEveryVoxelOfTheSharedDataIsNibabels(t *testing.T) {
	dir := filepath.Dir(publicdata.Path(t, "nifti"))
	var all []reference
	if err := json.Unmarshal(testFile(t, "shared.json"), &all); err != nil {
		t.Fatal(err)
	}
	generated, real, broken := 0, 0, 0
	for _, want := range all {
		file, err := os.ReadFile(filepath.Join(dir, want.File))
		if err != nil {
			t.Fatal(err)
		}
		img, err := Read(bytes.NewReader(file), nil)
		if want.Refused != "" {
			broken++
			var refused *Error
			if !errors.As(err, &refused) || refused.Code != refusals[want.File] {
				t.Errorf("%s: error is %v, want %s", want.File, err, refusals[want.File])
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", want.File, err)
			continue
		}
		if strings.HasPrefix(want.File, "nifti/") {
			generated++
		} else {
			real++
		}
		if img.DType != want.DType || !cmp.Equal(img.Shape, want.Shape) {
			t.Errorf("%s: got %s %v, nibabel %s %v", want.File, img.DType, img.Shape, want.DType, want.Shape)
		}
		if d := distance(img.Affine, want.Affine); d > 1e-12 {
			t.Errorf("%s: affine is off by %g: got %v, nibabel %v", want.File, d, img.Affine, want.Affine)
		}
		if got := valuesSHA256(img); got != want.SHA256 {
			t.Errorf("%s: the values differ from nibabel's", want.File)
		}
	}
	if generated != 75 || real != 3 || broken != 4 {
		t.Errorf("%d generated, %d real and %d broken files, want 75, 3 and 4", generated, real, broken)
	}
}

func valuesSHA256(img *Image) string {
	h := sha256.New()
	var line []byte
	for i := range img.Voxels() {
		line = binary.LittleEndian.AppendUint64(line, math.Float64bits(img.Value(i)))
		if len(line) >= 1<<16 || i == img.Voxels()-1 {
			h.Write(line)
			line = line[:0]
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
