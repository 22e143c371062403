package crop

import (
	"context"
	"testing"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
)

// neck is a study of 300 slices, 512x512, whose slices cost nothing to fetch.
func neck() Getter {
	study := synthetic{Rows: 512, Columns: 512, DType: "int16"}
	var made [6]volume.Slice
	for i := range made {
		made[i], _ = study.slice(context.Background(), i*9)
	}
	return func(_ context.Context, i int) (volume.Slice, error) { return made[i%len(made)], nil }
}

// neckBoxes are seven boxes of a usual size: 150x150 pixels, 33 slices of 300, each over the next by a third.
func neckBoxes() (boxes []Box, patches []*npy.Array) {
	for level := range volume.Levels {
		b := Box{Level: level, Row: [2]int{40, 78}, Column: [2]int{45, 83}, Slice: [2]int{20 + 10*level, 34 + 10*level}}
		boxes, patches = append(boxes, b), append(patches, Patch(testMask(), b))
	}
	return boxes, patches
}

// BenchmarkVertebra is one crop on one core, slices given.
func BenchmarkVertebra(b *testing.B) {
	boxes, patches := neckBoxes()
	get := neck()
	for b.Loop() {
		if _, err := Vertebra(b.Context(), boxes[0], patches[0], 300, get, Options{Workers: 1}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEach is the seven crops of a study, slices given.
func BenchmarkEach(b *testing.B) {
	boxes, patches := neckBoxes()
	get := neck()
	for _, workers := range []int{1, 2} {
		b.Run(map[int]string{1: "1 worker", 2: "2 workers"}[workers], func(b *testing.B) {
			for b.Loop() {
				err := Each(b.Context(), boxes, patches, 300, get, Options{Workers: workers}, func(int, *npy.Array) error { return nil })
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBoxes(b *testing.B) {
	m := testMask()
	for b.Loop() {
		Boxes(m, BoxOptions{})
	}
}

func BenchmarkPatch(b *testing.B) {
	boxes, _ := neckBoxes()
	m := testMask()
	for b.Loop() {
		Patch(m, boxes[3])
	}
}
