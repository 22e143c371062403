package shard

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// segmentationsOf makes n studies: slopes with some noise, labels in boxes.
func segmentationsOf(n int, shape ...int) []Segmentation {
	var out []Segmentation
	size := shape[0] * shape[1] * shape[2]
	for i := range n {
		r := rand.New(rand.NewPCG(3, uint64(i)))
		s := Segmentation{
			StudyUID: fmt.Sprintf("1.2.826.%d", i), Fold: i % 5, Shape: shape, DType: "uint8", SpacingMM: [3]float64{0.5 + float64(i), 1.25, 2.004},
			VolumeDigest: strings.Repeat("a", 64), LabelsDigest: strings.Repeat("b", 64), SourceDigest: strings.Repeat("c", 64),
			Volume: make([]byte, size), Labels: make([]byte, size),
		}
		for k := range size {
			s.Volume[k] = byte(k/shape[2] + r.IntN(4))
			if k/shape[2]%shape[1] > shape[1]/2 {
				s.Labels[k] = byte((k%shape[2] + i) % 8)
			}
			s.Voxels[s.Labels[k]]++
		}
		out = append(out, s)
	}
	return out
}

func segmentationSequence(samples []Segmentation) func(func(Segmentation, error) bool) {
	return func(yield func(Segmentation, error) bool) {
		for _, s := range samples {
			if !yield(s, nil) {
				return
			}
		}
	}
}

func writeSegmentations(t testing.TB, samples []Segmentation, workers int) []byte {
	t.Helper()
	var b bytes.Buffer
	stats, err := WriteSegmentations(&b, segmentationSequence(samples), Options{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	if stats.Samples != len(samples) || stats.Stored != int64(b.Len()) {
		t.Errorf("stats %+v of %d samples in %d bytes", stats, len(samples), b.Len())
	}
	return b.Bytes()
}

func TestSegmentationsComeBackAsTheyWere(t *testing.T) {
	for _, n := range []int{0, 1, 9} {
		want := segmentationsOf(n, 12, 16, 9)
		file := writeSegmentations(t, want, 2)
		r, err := OpenSegmentations(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		var got []Segmentation
		for s, err := range r.Samples(t.Context(), ReadOptions{Keep: true}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, s)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d samples: %s", n, diff)
		}
		var buf Buffer
		for i := n - 1; i >= 0; i-- {
			s, err := r.Read(i, &buf)
			if err != nil || !bytes.Equal(s.Volume, want[i].Volume) || !bytes.Equal(s.Labels, want[i].Labels) {
				t.Errorf("row %d alone: %v", i, err)
			}
		}
	}
}

func TestWorkersDoNotChangeASegmentationShard(t *testing.T) {
	samples := segmentationsOf(9, 32, 32, 32)
	one := writeSegmentations(t, samples, 1)
	for _, workers := range []int{0, 5} {
		if !bytes.Equal(one, writeSegmentations(t, samples, workers)) {
			t.Errorf("%d workers wrote another file than one", workers)
		}
	}
}

func TestAKindOfShardIsNotTakenForTheOther(t *testing.T) {
	crop, seg := write(t, samplesOf(1, 2, 8, 8), 1), writeSegmentations(t, segmentationsOf(1, 4, 4, 4), 1)
	if _, err := OpenSegmentations(bytes.NewReader(crop), int64(len(crop))); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "segmentation shard") {
		t.Error(err)
	}
	if _, err := Open(bytes.NewReader(seg), int64(len(seg))); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "crop shard") {
		t.Error(err)
	}
}

func TestWriteSegmentationsRefusesWhatContradictsItself(t *testing.T) {
	for name, spoil := range map[string]func(*Segmentation){
		"volume":   func(s *Segmentation) { s.Volume = s.Volume[1:] },
		"labels":   func(s *Segmentation) { s.Labels = append(s.Labels, 0) },
		"label 8":  func(s *Segmentation) { s.Labels[3] = 8 },
		"type":     func(s *Segmentation) { s.DType, s.Shape = "int16", []int{8, 8, 4} },
		"axes":     func(s *Segmentation) { s.Shape = []int{8, 64} },
		"spacing":  func(s *Segmentation) { s.SpacingMM[1] = 0 },
		"nowhere":  func(s *Segmentation) { s.SpacingMM[2] = math.NaN() },
		"fold":     func(s *Segmentation) { s.Fold = -1 },
		"infinity": func(s *Segmentation) { s.SpacingMM[0] = math.Inf(1) },
	} {
		samples := segmentationsOf(3, 8, 8, 8)
		spoil(&samples[1])
		if _, err := WriteSegmentations(io.Discard, segmentationSequence(samples), Options{}); err == nil || !strings.Contains(err.Error(), samples[1].StudyUID) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// readAllSegmentations reads whatever it can and checks what must hold for any bytes.
func readAllSegmentations(t *testing.T, file []byte) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := OpenSegmentations(bytes.NewReader(file), int64(len(file)))
	if err == nil {
		for i := range min(r.Rows(), 20) {
			var s Segmentation
			if s, err = r.Read(i, nil); err != nil {
				break
			}
			if err := validate(&s); err != nil {
				t.Errorf("read a sample that could not be written: %v", err)
			}
		}
	}
	if err != nil && !errors.Is(err, ErrCorrupt) {
		t.Errorf("not ErrCorrupt: %v", err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 6*MaxTensor+1<<28 {
		t.Errorf("%d bytes were allocated for a file of %d", grown, len(file))
	}
}

func TestMutantSegmentationsEndInErrors(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine alone: -short is for the race detector")
	}
	file := writeSegmentations(t, segmentationsOf(4, 16, 16, 16), 1)
	footer := len(file) - 8 - int(uint32(file[len(file)-8])|uint32(file[len(file)-7])<<8)
	r := rand.New(rand.NewPCG(1, 2))
	for range 1500 {
		mutant := bytes.Clone(file)
		from := 0
		if r.IntN(3) > 0 {
			from = footer
		}
		for range 1 + r.IntN(3) {
			mutant[from+r.IntN(len(file)-from)] = byte(r.Uint32())
		}
		readAllSegmentations(t, mutant)
	}
	for n := 0; n < len(file); n += 37 {
		readAllSegmentations(t, file[:n])
	}
}

func FuzzOpenSegmentations(f *testing.F) {
	f.Add(writeSegmentations(f, nil, 1))
	f.Add(writeSegmentations(f, segmentationsOf(3, 4, 4, 4), 1))
	f.Fuzz(readAllSegmentations)
}

func TestASegmentationManifestNamesItsStudies(t *testing.T) {
	samples := segmentationsOf(7, 4, 4, 4)
	for i := range samples {
		samples[i].Voxels = [8]int{1, 2, 3, 4, 5, 6, 7, 8}
	}
	samples[2].Voxels[3] = 0
	m := NewManifest(Segmentations, "masks", []Part{NewSegmentationPart("b", 10, "bb", samples[3:]), NewSegmentationPart("a", 20, "aa", samples[:3])}, map[string]int{"C3": 1})
	text, err := m.JSON()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadManifest(text)
	if err != nil {
		t.Fatal(err)
	}
	if got.Task != Segmentations || got.Samples != 7 || got.Raw != 7*2*64 || got.Levels["C3"] != (Found{6, 1}) || got.Levels["C1"] != (Found{7, 0}) {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]Study{{"1.2.826.0", 0}, {"1.2.826.1", 1}, {"1.2.826.2", 2}}, got.Shards[0].Studies); diff != "" {
		t.Error(diff)
	}
	var names []string
	for _, c := range segmentations.schema.Columns() {
		names = append(names, c[0])
	}
	var listed []string
	for _, c := range got.Schema {
		listed = append(listed, c.Name)
	}
	if diff := cmp.Diff(names, listed); diff != "" {
		t.Errorf("the schema is not the shards': %s", diff)
	}
	if old, err := ReadManifest([]byte(`{"version":"1"}`)); err != nil || old.Task != Crops {
		t.Errorf("a manifest without a task is of %q, %v", old.Task, err)
	}
}

// TestPythonReadsExactSegmentations needs CSPINE_PYTHON, a python with numpy, pyarrow and datasets.
func TestPythonReadsExactSegmentations(t *testing.T) {
	python := os.Getenv("CSPINE_PYTHON")
	if python == "" {
		t.Skip("CSPINE_PYTHON does not name a python with pyarrow and datasets")
	}
	samples := append(segmentationsOf(4, 128, 128, 128), segmentationsOf(9, 16, 12, 8)...)
	type expected struct {
		StudyUID string     `json:"study_uid"`
		Fold     int        `json:"fold"`
		Shape    []int      `json:"shape"`
		Spacing  [3]float64 `json:"spacing_mm"`
		Voxels   [8]int     `json:"voxels"`
		Volume   string     `json:"volume"` // SHA-256
		Mask     string     `json:"mask"`
	}
	sum := func(b []byte) string { d := sha256.Sum256(b); return hex.EncodeToString(d[:]) }
	var want []expected
	for _, s := range samples {
		want = append(want, expected{s.StudyUID, s.Fold, s.Shape, s.SpacingMM, s.Voxels, sum(s.Volume), sum(s.Labels)})
	}
	js, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	file, list := filepath.Join(t.TempDir(), "shard.parquet"), filepath.Join(t.TempDir(), "expected.json")
	if err := errors.Join(os.WriteFile(file, writeSegmentations(t, samples, 2), 0o600), os.WriteFile(list, js, 0o600)); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/check_segmentation.py", file, list).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
