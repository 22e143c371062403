package volume

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestSignedAndUnsignedSlicesShareOneRepresentation(t *testing.T) {
	unsigned := Slice{Rows: 1, Columns: 2, Pix: []uint16{0, 65535}}
	signed := Slice{Rows: 1, Columns: 2, Pix: []uint16{0, 65535}, Bias: -32768}
	for _, c := range []struct {
		s        Slice
		low, top int32
	}{{unsigned, 0, 65535}, {signed, -32768, 32767}} {
		if c.s.Value(0, 0) != c.low || c.s.Value(0, 1) != c.top {
			t.Errorf("bias %d: got %d…%d, want %d…%d", c.s.Bias, c.s.Value(0, 0), c.s.Value(0, 1), c.low, c.top)
		}
		if got := int32(c.s.Zero()) + c.s.Bias; got != 0 {
			t.Errorf("bias %d: Zero is the stored value %d", c.s.Bias, got)
		}
	}
}

func TestInverseUndoesAffine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Affine
		for i := range m {
			for j := range m[i] {
				m[i][j] = rapid.Float64Range(-5, 5).Draw(t, "m")
			}
			m[i][i] += 12 // diagonally dominant, so invertible
		}
		inv, ok := m.Inverse()
		if !ok {
			t.Fatal("regular affine reported as singular")
		}
		w := m.Apply(3, -4, 5)
		got := inv.Apply(w[0], w[1], w[2])
		for i, want := range []float64{3, -4, 5} {
			if math.Abs(got[i]-want) > 1e-9 {
				t.Fatalf("got %v", got)
			}
		}
	})
}

func TestSingularAffineHasNoInverse(t *testing.T) {
	if _, ok := (Affine{}).Inverse(); ok {
		t.Error("the zero affine has no inverse")
	}
}
