package train

import (
	"bytes"
	"image/png"
	"math"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// course is a history of n epochs as a training has it: dice measured every second epoch.
func course(n int) (history []Epoch) {
	for i := range n {
		x := float64(i+1) / float64(n)
		e := Epoch{Epoch: i + 1, Updates: int64(100 * (i + 1)), Rate: 3e-3 * (1 - x), Loss: 0.2 + math.Exp(-4*x), Norm: 2, Seconds: 60, Time: 1.7e9 + float64(60*i)}
		if i%2 == 1 {
			v := &Validation{Studies: 17, Loss: 0.25 + math.Exp(-3*x), SegmenterScore: &SegmenterScore{Mean: 0.95 * (1 - math.Exp(-4*x))}}
			v.Interval = [2]float64{v.Mean - 0.03, v.Mean + 0.02}
			for l := range v.Dice {
				v.Dice[l] = v.Mean * (1 - 0.02*float64(l))
			}
			e.Validation = v
		}
		history = append(history, e)
	}
	return history
}

func TestLinesAreReadBack(t *testing.T) {
	want := course(5)
	file, err := Lines(want)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(file, []byte("\n")); n != 5 {
		t.Errorf("%d lines", n)
	}
	got, err := ReadLines(file)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := ReadLines([]byte("{\n")); err == nil {
		t.Error("a broken line is taken")
	}
}

func TestEventsOnlyGrow(t *testing.T) {
	long := Events(course(9))
	history := course(9)
	for n := range history {
		if short := Events(history[:n]); !bytes.HasPrefix(long, short) {
			t.Errorf("the file of %d epochs is no beginning of that of 9", n)
		}
	}
}

// Set CSPINE_PICTURE to a file to look at the curves.
func TestCurvesAreAPicture(t *testing.T) {
	for _, n := range []int{1, 2, 60} {
		file, err := Curves("fold 0", course(n))
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if b := img.Bounds(); b.Dx() < 600 || b.Dy() < 400 {
			t.Errorf("%d epochs: %v", n, b)
		}
		if path := os.Getenv("CSPINE_PICTURE"); path != "" {
			if err := os.WriteFile(path, file, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
}
