package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// guarded returns n floats that stand between NaNs, so that a read outside shows, and a check that writes outside did not happen.
func guarded(n int) ([]float32, func() bool) {
	const guard = 64
	all := make([]float32, n+2*guard)
	nan := float32(math.NaN())
	for i := range all {
		all[i] = nan
	}
	return all[guard : guard+n : guard+n], func() bool {
		for i, v := range all {
			if (i < guard || i >= guard+n) && v == v {
				return false
			}
		}
		return true
	}
}

func filled(r *rand.Rand, n int) []float32 {
	s, _ := guarded(n)
	for i := range s {
		s[i] = float32(r.NormFloat64())
	}
	return s
}

// near fails unless got is want within what adding terms in another order may cost.
func near(t interface{ Fatalf(string, ...any) }, what string, got, want []float32, terms int) {
	var scale float64
	for _, v := range want {
		scale = max(scale, math.Abs(float64(v)))
	}
	limit := 2e-7 * (scale + 1) * math.Sqrt(float64(terms)+16)
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= limit) {
			t.Fatalf("%s[%d] = %v, want %v", what, i, got[i], want[i])
		}
	}
}

func geometries(t *rapid.T) Geometry {
	g := Geometry{
		Batch: rapid.IntRange(1, 2).Draw(t, "batch"),
		Group: rapid.SampledFrom([]int{1, 1, 1, 2, 3, 8}).Draw(t, "group"),
	}
	most := max(1, 40/g.Group)
	g.In = g.Group * rapid.IntRange(1, most).Draw(t, "in")
	g.Out = g.Group * rapid.IntRange(1, most).Draw(t, "out")
	volume := rapid.Bool().Draw(t, "volume")
	for a := range 3 {
		if a == 0 && !volume {
			g.InSize[a], g.OutSize[a], g.Kernel[a], g.Stride[a], g.Dilation[a] = 1, 1, 1, 1, 1
			continue
		}
		g.Kernel[a] = rapid.IntRange(1, 4).Draw(t, "kernel")
		g.Stride[a] = rapid.SampledFrom([]int{1, 1, 1, 2, 2, 3}).Draw(t, "stride")
		g.Dilation[a] = rapid.SampledFrom([]int{1, 1, 2}).Draw(t, "dilation")
		begin := rapid.IntRange(0, 2).Draw(t, "begin")
		end := rapid.IntRange(0, 2).Draw(t, "end")
		span := (g.Kernel[a]-1)*g.Dilation[a] + 1
		g.InSize[a] = rapid.IntRange(max(1, span-begin-end), 20).Draw(t, "size")
		if a == 2 && rapid.Bool().Draw(t, "full rows") {
			end = ((16-1)*g.Stride[a] + span) - g.InSize[a] - begin
			if end < 0 {
				end = 0
			}
		}
		g.PadBegin[a] = begin
		g.OutSize[a] = (g.InSize[a]+begin+end-span)/g.Stride[a] + 1
	}
	return g
}

func eachLevel(t *testing.T, f func(t *testing.T)) {
	was := Level()
	defer SetLevel(was)
	for _, l := range Levels() {
		SetLevel(l)
		t.Run(l, f)
	}
}

func TestConvolutionIsItsDefinition(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			g := geometries(t)
			w := NewWorkers(rapid.IntRange(1, 3).Draw(t, "workers"))
			c, err := NewConv(g, w)
			if err != nil {
				t.Fatalf("%v", err)
			}
			r := rand.New(rand.NewPCG(1, 2))
			x, wt, bias, dy := filled(r, c.xLen), filled(r, c.wLen), filled(r, g.Out), filled(r, c.yLen)
			y, ok := guarded(c.yLen)
			want := make([]float32, c.yLen)
			c.Forward(y, x, wt, bias)
			c.plainForward(want, x, wt, bias)
			near(t, "y", y, want, c.inG*c.kVol)
			if !ok() {
				t.Fatalf("Forward writes outside y")
			}
			dx, ok := guarded(c.xLen)
			want = make([]float32, c.xLen)
			c.GradInput(dx, wt, dy)
			c.plainGradInput(want, wt, dy)
			near(t, "dx", dx, want, c.outG*c.kVol)
			if !ok() {
				t.Fatalf("GradInput writes outside dx")
			}
			dw, ok := guarded(c.wLen)
			want = make([]float32, c.wLen)
			c.GradWeight(dw, x, dy)
			c.plainGradWeight(want, x, dy)
			near(t, "dw", dw, want, g.Batch*c.outVol)
			if !ok() {
				t.Fatalf("GradWeight writes outside dw")
			}
		})
	})
}
