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

func setLevel(t *testing.T, level string) {
	t.Helper()
	if err := SetLevel(level); err != nil {
		t.Fatal(err)
	}
}

func eachLevel(t *testing.T, f func(t *testing.T)) {
	was := Level()
	defer setLevel(t, was)
	for _, l := range Levels() {
		setLevel(t, l)
		t.Run(l, f)
	}
}

func TestConvolutionIsItsDefinition(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			isItsDefinition(t, geometries(t), NewWorkers(rapid.IntRange(1, 3).Draw(t, "workers")))
		})
	})
}

// Convolutions of points over small planes are matrix products over several images.
func TestConvolutionOfPointsIsItsDefinition(t *testing.T) {
	one := [3]int{1, 1, 1}
	eachLevel(t, func(t *testing.T) {
		for _, size := range [][3]int{one, {1, 2, 1}, {1, 3, 3}, {4, 4, 4}} {
			for _, g := range []Geometry{{Batch: 2, In: 5, Out: 7}, {Batch: 30, In: 13, Out: 33}, {Batch: 3, In: 2, Out: 1}} {
				g.Group, g.InSize, g.OutSize, g.Kernel, g.Stride, g.Dilation = 1, size, size, one, one, one
				isItsDefinition(t, g, NewWorkers(3))
			}
		}
		many := [3]int{1, 5, 10} // so many channels and positions that eight images are joined, and one is left
		isItsDefinition(t, Geometry{Batch: 9, In: 500, Out: 200, Group: 1, InSize: many, OutSize: many, Kernel: one, Stride: one, Dilation: one}, NewWorkers(2))
	})
}

func isItsDefinition(t interface {
	Fatalf(string, ...any)
}, g Geometry, w *Workers) {
	c, err := NewConv(g, w)
	if err != nil {
		t.Fatalf("%v", err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	x, wt, bias, dy := filled(r, c.xLen), filled(r, c.wLen), filled(r, g.Out), filled(r, c.yLen)
	check := func(what string, n, terms int, f, plain func(to []float32)) {
		want := make([]float32, n)
		plain(want)
		var first []float32
		// The second time, scratch is full of NaNs that must not be seen.
		for range 2 {
			got, ok := guarded(n)
			f(got)
			near(t, what, got, want, terms)
			if !ok() {
				t.Fatalf("%s: written outside", what)
			}
			if first == nil {
				first = got
			}
			for i := range got {
				if got[i] != first[i] {
					t.Fatalf("%s: the second run differs", what)
				}
			}
			w.poison()
		}
	}
	check("y", c.yLen, c.inG*c.kVol, func(y []float32) { c.Forward(y, x, wt, bias) }, func(y []float32) { c.plainForward(y, x, wt, bias) })
	check("dx", c.xLen, c.outG*c.kVol, func(dx []float32) { c.GradInput(dx, wt, dy) }, func(dx []float32) { c.plainGradInput(dx, wt, dy) })
	check("dw", c.wLen, g.Batch*c.outVol, func(dw []float32) { c.GradWeight(dw, x, dy) }, func(dw []float32) { c.plainGradWeight(dw, x, dy) })
}

// poison fills all scratch with NaNs.
func (w *Workers) poison() {
	fill := func(s []float32) {
		s = s[:cap(s)]
		for i := range s {
			s[i] = float32(math.NaN())
		}
	}
	fill(w.common)
	for i := range w.own {
		for _, b := range w.own[i].buf {
			fill(b)
		}
	}
}

func TestGemmIsTheSumOfProducts(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			w := NewWorkers(rapid.IntRange(1, 3).Draw(t, "workers"))
			size := rapid.OneOf(rapid.IntRange(0, 20), rapid.IntRange(0, 300))
			m, n, k := size.Draw(t, "m"), size.Draw(t, "n"), size.Draw(t, "k")
			transA, transB := rapid.Bool().Draw(t, "transA"), rapid.Bool().Draw(t, "transB")
			alpha := rapid.SampledFrom([]float32{1, -0.5}).Draw(t, "alpha")
			beta := rapid.SampledFrom([]float32{0, 1, 0.25}).Draw(t, "beta")
			more := rapid.IntRange(0, 5)
			lda, ldb, ldc := k+more.Draw(t, "lda"), n+more.Draw(t, "ldb"), n+more.Draw(t, "ldc")
			rowsA, rowsB := m, k
			if transA {
				lda, rowsA = lda-k+m, k
			}
			if transB {
				ldb, rowsB = ldb-n+k, n
			}
			length := func(rows, cols, ld int) int {
				if rows == 0 || cols == 0 {
					return 0
				}
				return (rows-1)*ld + cols
			}
			colsA, colsB := k+m-rowsA, n+k-rowsB
			r := rand.New(rand.NewPCG(3, 4))
			a, b := filled(r, length(rowsA, colsA, lda)), filled(r, length(rowsB, colsB, ldb))
			c, ok := guarded(length(m, n, ldc))
			before := make([]float32, len(c))
			for i := range before {
				before[i] = float32(r.NormFloat64())
				if beta != 0 || i%ldc >= n {
					c[i] = before[i]
				}
			}
			Gemm(w, transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
			if !ok() {
				t.Fatalf("written outside c")
			}
			for i := range m {
				for j := range n {
					var sum float64
					for p := range k {
						ai, bi := i*lda+p, p*ldb+j
						if transA {
							ai = p*lda + i
						}
						if transB {
							bi = j*ldb + p
						}
						sum += float64(a[ai]) * float64(b[bi])
					}
					want := float64(alpha)*sum + float64(beta)*float64(before[i*ldc+j])
					if d := math.Abs(want - float64(c[i*ldc+j])); !(d < 1e-5*math.Sqrt(float64(k)+1)) {
						t.Fatalf("c[%d,%d] = %v, want %v", i, j, c[i*ldc+j], want)
					}
				}
			}
			for i := range before {
				if i%max(1, ldc) >= n && c[i] != before[i] {
					t.Fatalf("written between rows of c")
				}
			}
		})
	})
}
