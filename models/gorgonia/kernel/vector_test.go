package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// special are values that sums and curves must carry through.
var special = []float32{0, float32(math.Copysign(0, -1)), 1, -1, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()),
	math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, 88.7, 88.8, -87.4, -103.5, -104.5, 1e-3, -1e-3, 0.349, 0.351, 9, -9.1}

func same(a, b float32) bool { return a == b || a != a && b != b }

func TestElementwiseLoopsAreTheSameOnEveryLevel(t *testing.T) {
	loops := map[string]func(dst, x, z []float32){
		"Add":        func(dst, x, z []float32) { Add(dst, x, z) },
		"Mul":        func(dst, x, z []float32) { Mul(dst, x, z) },
		"Max":        func(dst, x, z []float32) { Max(dst, x, z) },
		"Over":       func(dst, x, z []float32) { Over(dst, x, 0.7) },
		"Axpy":       func(dst, x, z []float32) { copy(dst, z); Axpy(dst, 0.7, x) },
		"Affine":     func(dst, x, z []float32) { Affine(dst, x, 1.3, -0.2) },
		"AffineRelu": func(dst, x, z []float32) { AffineRelu(dst, x, 1.3, -0.2) },
		"Affine2":    func(dst, x, z []float32) { Affine2(dst, x, z, 1.3, -0.2, 0.1) },
		"Relu":       func(dst, x, z []float32) { Relu(dst, x) },
		"ReluGrad":   func(dst, x, z []float32) { ReluGrad(dst, x, z) },
		"AdamW": func(dst, x, z []float32) {
			copy(dst, x)
			m, v := make([]float32, len(x)), make([]float32, len(x))
			for i := range m {
				m[i], v[i] = z[i]/3, z[i]*z[i]
			}
			AdamW(dst, m, v, z, AdamStep{Scale: 0.5, Lerp: 0.1, Keep: 0.999, Add: 0.001, Decay: 0.99, Size: 0.01, Root: 0.3, Epsilon: 1e-8})
		},
	}
	r := rand.New(rand.NewPCG(5, 6))
	for name, loop := range loops {
		for _, n := range []int{0, 1, 7, 8, 15, 16, 17, 64, 100} {
			x, z := filled(r, n), filled(r, n)
			for i := range x {
				if r.IntN(4) == 0 {
					x[i] = special[r.IntN(len(special))]
				}
				if r.IntN(8) == 0 && name != "AdamW" {
					z[i] = special[r.IntN(len(special))]
				}
			}
			var want []float32
			was := Level()
			levels := Levels()
			for i := len(levels) - 1; i >= 0; i-- { // portable first
				setLevel(t, levels[i])
				got, ok := guarded(n)
				loop(got, x, z)
				if want == nil {
					want = got
				}
				for i := range got {
					if !same(got[i], want[i]) {
						t.Errorf("%s of %d on %s: %v of %v and %v, want %v", name, n, Level(), got[i], x[i], z[i], want[i])
						break
					}
				}
				if !ok() {
					t.Errorf("%s of %d on %s writes outside", name, n, Level())
				}
			}
			setLevel(t, was)
		}
	}
}

func TestGatedCurvesAreMaths(t *testing.T) {
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	share := func(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }
	density := func(x float64) float64 { return math.Exp(-x*x/2) / math.Sqrt(2*math.Pi) }
	for _, c := range []struct {
		name  string
		f     func(dst, x, dy []float32)
		math  func(x float64) float64
		error func(x float64) float64
	}{
		{"Gelu", func(dst, x, _ []float32) { Gelu(dst, x) }, func(x float64) float64 { return x * share(x) }, func(x float64) float64 { return 2e-7 * math.Abs(x) }},
		{"GeluGrad", GeluGrad, func(x float64) float64 { return share(x) + x*density(x) }, func(float64) float64 { return 4e-7 }},
		{"Silu", func(dst, x, _ []float32) { Silu(dst, x) }, func(x float64) float64 { return x * sigmoid(x) }, func(x float64) float64 { return 4e-7*math.Abs(x*sigmoid(x)) + 1e-35 }},
		{"SiluGrad", SiluGrad, func(x float64) float64 { return sigmoid(x) * (1 + x*(1-sigmoid(x))) }, func(x float64) float64 { return 4e-7 + 6e-8*math.Abs(x) }},
	} {
		eachLevel(t, func(t *testing.T) {
			var x []float32
			for v := float32(-110); v < 92; v += 0.00713 {
				x = append(x, v)
			}
			dy, got := make([]float32, len(x)), make([]float32, len(x))
			for i := range dy {
				dy[i] = 1
			}
			c.f(got, x, dy)
			for i, v := range x {
				if want := c.math(float64(v)); !(math.Abs(float64(got[i])-want) <= c.error(float64(v))) {
					t.Fatalf("%s(%v) is %v, want %v", c.name, v, got[i], want)
				}
			}
			for i := range 40 {
				one := []float32{0}
				c.f(one, x[i*7:i*7+1], dy[:1])
				if !same(one[0], got[i*7]) {
					t.Errorf("%s(%v) depends on its place", c.name, x[i*7])
				}
			}
			nan := []float32{float32(math.NaN())}
			if c.f(nan, nan, dy[:1]); nan[0] == nan[0] {
				t.Errorf("%s makes %v of NaN", c.name, nan[0])
			}
		})
	}
}

func TestCurvesAreMathsWithinTwoUnits(t *testing.T) {
	curves := map[string]struct {
		f    func(dst, x []float32)
		math func(float64) float64
		ulps float64
	}{
		"Exp":     {Exp, math.Exp, 2},
		"Sigmoid": {Sigmoid, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }, 3},
		"Tanh":    {Tanh, math.Tanh, 3},
	}
	var x []float32
	for v := float32(-110); v < 92; v += 0.00713 {
		x = append(x, v)
	}
	for v := float32(1e-9); v < 1; v *= 1.01 {
		x = append(x, v, -v)
	}
	x = append(x, special...)
	eachLevel(t, func(t *testing.T) {
		for name, c := range curves {
			got := make([]float32, len(x))
			c.f(got, x)
			worst, at := 0.0, float32(0)
			for i, v := range x {
				exact := c.math(float64(v))
				want := float32(exact)
				if same(got[i], want) || name == "Sigmoid" && exact < 1.2e-38 && got[i] == 0 {
					continue
				}
				step := float64(math.Nextafter32(float32(math.Abs(exact)), float32(math.Inf(1)))) - float64(float32(math.Abs(exact)))
				if e := math.Abs(float64(got[i])-exact) / step; !(e <= worst) {
					worst, at = e, v
				}
			}
			if !(worst <= c.ulps) {
				t.Errorf("%s(%v) is %v units off", name, at, worst)
			}
			// An element's value must not depend on its place.
			for i := range 40 {
				one := []float32{0}
				c.f(one, x[i*7:i*7+1])
				if !same(one[0], got[i*7]) {
					t.Errorf("%s(%v) depends on its place", name, x[i*7])
				}
			}
		}
	})
}

func TestSumsOfLongVectorsAreExactToSixDigits(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		for _, n := range []int{0, 1, 1023, 1024, 1025, 5000} {
			x, z := filled(r, n), filled(r, n)
			var sum, dot, shifted, square, cross float64
			const shift = 0.25
			for i, v := range x {
				sum += float64(v)
				dot += float64(v) * float64(z[i])
				shifted += float64(v) - shift
				square += (float64(v) - shift) * (float64(v) - shift)
				cross += (float64(v) - shift) * float64(z[i])
			}
			zSum := 0.0
			for _, v := range z {
				zSum += float64(v)
			}
			a, b := Moments(x, shift)
			c, d := DotShift(x, z, shift)
			for i, p := range [][2]float64{{Sum(x), sum}, {Dot(x, z), dot}, {a, shifted}, {b, square}, {c, zSum}, {d, cross}} {
				if math.Abs(p[0]-p[1]) > 2e-6*(1+float64(n)) {
					t.Errorf("sum %d of %d: %v, want %v", i, n, p[0], p[1])
				}
			}
		}
		nan := make([]float32, 3000)
		for _, at := range []int{0, 1500, 2999} {
			clear(nan)
			nan[at] = float32(math.NaN())
			if s := Sum(nan); s == s {
				t.Errorf("NaN at %d is lost", at)
			}
		}
	})
}

func BenchmarkVector(b *testing.B) {
	x, z, dst := make([]float32, 1<<14), make([]float32, 1<<14), make([]float32, 1<<14)
	for name, f := range map[string]func(){
		"Add": func() { Add(dst, x, z) }, "Affine2": func() { Affine2(dst, x, z, 1, 2, 3) }, "ReluGrad": func() { ReluGrad(dst, x, z) },
		"Sum": func() { Sum(x) }, "Moments": func() { Moments(x, 1) }, "DotShift": func() { DotShift(x, z, 1) },
		"Exp": func() { Exp(dst, x) }, "Sigmoid": func() { Sigmoid(dst, x) }, "Tanh": func() { Tanh(dst, x) },
		"AdamW": func() { AdamW(dst, x, z, dst, AdamStep{Root: 1, Epsilon: 1e-8}) },
	} {
		b.Run(fmt.Sprint(name, "/", Level()), func(b *testing.B) {
			b.SetBytes(4 * int64(len(x)))
			for b.Loop() {
				f()
			}
		})
	}
}
