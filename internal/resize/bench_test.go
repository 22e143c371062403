package resize

import (
	"testing"

	"github.com/cspine/cspine/internal/volume"
)

func benchSlice(rows, columns int) volume.Slice {
	s := volume.Slice{Rows: rows, Columns: columns, Pix: make([]uint16, rows*columns)}
	for i := range s.Pix {
		s.Pix[i] = uint16(i*7919) >> 4
	}
	return s
}

func BenchmarkSlice(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
		f    Filter
	}{{"linear 512 to 128", 512, Linear}, {"linear 500 to 128", 500, Linear}, {"area 512 to 128", 512, Area}, {"area 500 to 128", 500, Area}} {
		s := benchSlice(c.size, c.size)
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				Slice(&s, 128, 128, c.f)
			}
		})
	}
}

func BenchmarkAreaUint8(b *testing.B) {
	src, dst := make([]uint8, 512*512), make([]uint8, 128*128)
	for b.Loop() {
		AreaUint8(src, 512, 512, dst, 128, 128)
	}
}

// BenchmarkCut is one of a crop's 75 planes: 150x150 pixels of a 512x512 slice.
func BenchmarkCut(b *testing.B) {
	s := benchSlice(512, 512)
	table, dst := make([]uint8, 4096), make([]uint8, 224*224)
	g := NewGrey(150, 150, 224, 224)
	for b.Loop() {
		g.Cut(dst, s.Pix[150*512+180:], 512, table, 0)
	}
}
