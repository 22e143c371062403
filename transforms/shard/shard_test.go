package shard

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// samplesOf makes n samples of a few studies: smooth planes with some noise, some of them repeated.
func samplesOf(n int, shape ...int) []Sample {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	size, plane := 1, shape[len(shape)-1]*shape[len(shape)-2]
	for _, d := range shape {
		size *= d
	}
	var out []Sample
	for i := range n {
		tensor := make([]byte, size)
		for k := range tensor {
			switch p := k / plane; {
			case p%6 == 5:
				tensor[k] = byte(k / plane % 2 * 255)
			case p >= 5 && p%3 == 0:
				tensor[k] = tensor[k-5*plane]
			default:
				tensor[k] = byte(100 + k%plane/64 + r.IntN(4))
			}
		}
		s := Sample{
			StudyUID: fmt.Sprintf("1.2.826.%d", i/3), Vertebra: fmt.Sprintf("C%d", i%7+1), Fold: i % 5, Tensor: tensor, Shape: shape, DType: "uint8",
			Box:        Box{[2]int{i, 2}, [2]int{3, 4}, [2]int{5, 6}, [2]int{7, 8}, [2]int{9, 10}, [2]int{11, 12 + i}},
			ZPositions: []int{3, 4, -1}, MaskDigest: strings.Repeat("a", 64), CropDigest: strings.Repeat("b", 64), SegmenterDigest: "labels",
		}
		if i%3 > 0 {
			l := i % 2
			s.Label = &l
		}
		if i%2 > 0 {
			l := 1
			s.PatientLabel = &l
		}
		out = append(out, s)
	}
	return out
}

func sequence(samples []Sample) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		for _, s := range samples {
			if !yield(s, nil) {
				return
			}
		}
	}
}

func write(t testing.TB, samples []Sample, workers int) []byte {
	t.Helper()
	var b bytes.Buffer
	stats, err := Write(&b, sequence(samples), Options{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	if stats.Samples != len(samples) || stats.Stored != int64(b.Len()) {
		t.Errorf("stats %+v of %d samples in %d bytes", stats, len(samples), b.Len())
	}
	return b.Bytes()
}

func open(t testing.TB, file []byte) *Reader[Sample] {
	t.Helper()
	r, err := Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func collect(r *Reader[Sample], opts ReadOptions) ([]Sample, error) {
	var out []Sample
	for s, err := range r.Samples(context.Background(), opts) {
		if err != nil {
			return out, err
		}
		out = append(out, s)
	}
	return out, nil
}

func TestSamplesComeBackAsTheyWere(t *testing.T) {
	for _, n := range []int{0, 1, 8, 40} {
		want := samplesOf(n, 3, 6, 16, 17)
		got, err := collect(open(t, write(t, want, 2)), ReadOptions{Keep: true})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d samples: %s", n, diff)
		}
	}
}

func TestEveryElementTypeAndAnEmptyTensor(t *testing.T) {
	want := samplesOf(5, 2, 8, 8)
	for i, s := range []struct {
		dtype string
		shape []int
	}{{"uint8", []int{128}}, {"int16", []int{8, 8}}, {"uint16", []int{4, 4, 4}}, {"float32", []int{32}}, {"uint8", []int{3, 0}}} {
		want[i].DType, want[i].Shape = s.dtype, s.shape
	}
	want[4].Tensor = []byte{}
	got, err := collect(open(t, write(t, want, 2)), ReadOptions{Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWorkersDoNotChangeTheFile(t *testing.T) {
	samples := samplesOf(20, 15, 6, 56, 56)
	one := write(t, samples, 1)
	for _, workers := range []int{0, 2, 7} {
		if !bytes.Equal(one, write(t, samples, workers)) {
			t.Errorf("%d workers wrote another file than one", workers)
		}
	}
}

func TestAStudyIsARowGroup(t *testing.T) {
	r := open(t, write(t, samplesOf(8, 2, 8, 8), 1))
	if diff := cmp.Diff([]int{0, 3, 6, 8}, r.first); diff != "" {
		t.Error(diff)
	}
}

func TestRangesWithoutTensorsAndReusedMemory(t *testing.T) {
	want := samplesOf(20, 2, 6, 32, 32)
	r := open(t, write(t, want, 2))
	n := 4
	for s, err := range r.Samples(context.Background(), ReadOptions{From: 4, To: 15, Workers: 3}) {
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[n], s); diff != "" {
			t.Fatalf("row %d: %s", n, diff)
		}
		n++
	}
	if n != 15 {
		t.Errorf("rows 4 to 15 ended at %d", n)
	}
	got, err := collect(r, ReadOptions{From: 19, NoTensors: true})
	if err != nil || len(got) != 1 || got[0].Tensor != nil || got[0].StudyUID != want[19].StudyUID {
		t.Errorf("without tensors: %v, %v", got, err)
	}
	var buf Buffer
	for _, i := range []int{7, 0, 19, 7} {
		s, err := r.Read(i, &buf)
		if err != nil || !bytes.Equal(s.Tensor, want[i].Tensor) {
			t.Errorf("row %d alone: %v", i, err)
		}
	}
	for _, o := range []ReadOptions{{From: -1}, {From: 3, To: 2}, {To: 21}} {
		if _, err := collect(r, o); err == nil {
			t.Errorf("rows %d to %d of 20 were read", o.From, o.To)
		}
	}
	if _, err := r.Read(20, nil); err == nil {
		t.Error("row 20 of 20 was read")
	}
}

func TestAnIterationEndsEarly(t *testing.T) {
	r := open(t, write(t, samplesOf(20, 2, 6, 32, 32), 2))
	for range r.Samples(context.Background(), ReadOptions{}) {
		break
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var last error
	for _, err := range r.Samples(ctx, ReadOptions{}) {
		cancel()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("a cancelled iteration ended with %v", last)
	}
}

func TestWriteRefusesWhatContradictsItself(t *testing.T) {
	two := 2
	for name, spoil := range map[string]func(*Sample){
		"size":        func(s *Sample) { s.Tensor = s.Tensor[1:] },
		"type":        func(s *Sample) { s.DType = "float64" },
		"shape":       func(s *Sample) { s.Shape = []int{-1, -128} },
		"huge":        func(s *Sample) { s.Shape = []int{1 << 40, 1 << 40} },
		"label":       func(s *Sample) { s.Label = &two },
		"fold":        func(s *Sample) { s.Fold = -1 },
		"positions":   func(s *Sample) { s.ZPositions = make([]int, 65) },
		"far":         func(s *Sample) { s.ZPositions = []int{1 << 40} },
		"far label":   func(s *Sample) { s.PatientLabel = &two },
		"dimensions":  func(s *Sample) { s.Shape = append(bytesOfOnes(64), 128) },
		"far corner ": func(s *Sample) { s.Box.SourceRows[1] = 1 << 40 },
	} {
		samples := samplesOf(3, 2, 8, 8)
		spoil(&samples[1])
		if _, err := Write(io.Discard, sequence(samples), Options{}); err == nil || !strings.Contains(err.Error(), samples[1].StudyUID) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func bytesOfOnes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = 1
	}
	return out
}

type failing struct{ after int }

func (f *failing) Write(b []byte) (int, error) {
	if f.after -= len(b); f.after < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}

func TestWriteReportsErrorsOfBothEnds(t *testing.T) {
	samples := samplesOf(9, 2, 6, 64, 64)
	for _, after := range []int{0, 100, 5000} {
		if _, err := Write(&failing{after}, sequence(samples), Options{}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("a writer that fails after %d bytes: %v", after, err)
		}
	}
	broken := func(yield func(Sample, error) bool) { _ = yield(samples[0], nil) && yield(Sample{}, io.ErrNoProgress) }
	if _, err := Write(io.Discard, broken, Options{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("samples that fail: %v", err)
	}
}

// TestPythonReadsExactTensors needs CSPINE_PYTHON, a python with numpy, pyarrow and datasets.
func TestPythonReadsExactTensors(t *testing.T) {
	python := os.Getenv("CSPINE_PYTHON")
	if python == "" {
		t.Skip("CSPINE_PYTHON does not name a python with pyarrow and datasets")
	}
	samples := append(samplesOf(5, 15, 6, 224, 224), samplesOf(9, 3, 6, 16, 16)...)
	type expected struct {
		StudyUID string `json:"study_uid"`
		Vertebra string `json:"vertebra"`
		Label    *int   `json:"label"`
		Shape    []int  `json:"shape"`
		SHA256   string `json:"sha256"`
	}
	var want []expected
	for _, s := range samples {
		sum := sha256.Sum256(s.Tensor)
		want = append(want, expected{s.StudyUID, s.Vertebra, s.Label, s.Shape, hex.EncodeToString(sum[:])})
	}
	js, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	file, list := filepath.Join(t.TempDir(), "shard.parquet"), filepath.Join(t.TempDir(), "expected.json")
	if err := errors.Join(os.WriteFile(file, write(t, samples, 2), 0o600), os.WriteFile(list, js, 0o600)); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/check_parquet.py", file, list).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
