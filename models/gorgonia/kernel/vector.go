package kernel

import "math"

// Vector loops. Slices that must be of one length are checked against the first. dst may be an input (the very same slice); partly
// overlapping slices are forbidden. Every element's value depends on its own inputs alone, so that work may be cut anywhere; sums add
// blocks of 1024 in float32 and blocks to each other in float64, so that they depend on where the slice begins and ends.

const block = 1024

// mapFunc is a loop over whole vectors; not every loop uses z and the scalars.
type mapFunc func(vectors int, dst, x, z *float32, a, b, c float32)

// blockFunc sums four times some vectors.
type blockFunc func(fours int, x, z *float32, shift float32) (s, q float32)

// vectorLoops are a level's loops over vectors; any may be nil.
type vectorLoops struct {
	add, mul, max, over, axpy, affine, affine2, relu, affineRelu, reluGrad, exp, sigmoid, tanh mapFunc
	gelu, geluGrad, silu, siluGrad                                                             mapFunc
	sum, product, moments, shifted                                                             blockFunc
	adamW                                                                                      func(vectors int, w, m, v, dw *float32, k *[8]float32)
}

// vectors runs f on the whole vectors of dst and returns how many elements it has done.
func (f mapFunc) vectors(dst, x, z []float32, a, b, c float32) int {
	n := len(dst) / best.lanes
	if f == nil || n == 0 {
		return 0
	}
	if z == nil {
		z = x
	}
	f(n, &dst[0], &x[0], &z[0], a, b, c)
	return n * best.lanes
}

// Add writes dst = a + b.
func Add(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := best.add.vectors(dst, a, b, 0, 0, 0); i < len(dst); i++ {
		dst[i] = a[i] + b[i]
	}
}

// Mul writes dst = a · b.
func Mul(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := best.mul.vectors(dst, a, b, 0, 0, 0); i < len(dst); i++ {
		dst[i] = a[i] * b[i]
	}
}

// Max writes the larger of a and b, NaN where either is.
func Max(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := best.max.vectors(dst, a, b, 0, 0, 0); i < len(dst); i++ {
		dst[i] = max(a[i], b[i])
	}
}

// Over writes dst = x / a.
func Over(dst, x []float32, a float32) {
	x = x[:len(dst)]
	for i := best.over.vectors(dst, x, nil, a, 0, 0); i < len(dst); i++ {
		dst[i] = x[i] / a
	}
}

// Axpy writes dst += alpha · x.
func Axpy(dst []float32, alpha float32, x []float32) {
	x = x[:len(dst)]
	for i := best.axpy.vectors(dst, dst, x, alpha, 0, 0); i < len(dst); i++ {
		dst[i] += float32(alpha * x[i])
	}
}

// Affine writes dst = a·x + b.
func Affine(dst, x []float32, a, b float32) {
	x = x[:len(dst)]
	for i := best.affine.vectors(dst, x, nil, a, b, 0); i < len(dst); i++ {
		dst[i] = float32(a*x[i]) + b
	}
}

// AffineRelu writes dst = max(0, a·x + b); NaN stays NaN.
func AffineRelu(dst, x []float32, a, b float32) {
	x = x[:len(dst)]
	for i := best.affineRelu.vectors(dst, x, nil, a, b, 0); i < len(dst); i++ {
		dst[i] = relu(float32(a*x[i]) + b)
	}
}

// Affine2 writes dst = a·x + b·z + c.
func Affine2(dst, x, z []float32, a, b, c float32) {
	x, z = x[:len(dst)], z[:len(dst)]
	for i := best.affine2.vectors(dst, x, z, a, b, c); i < len(dst); i++ {
		dst[i] = float32(a*x[i]) + float32(b*z[i]) + c
	}
}

// Relu writes dst = max(0, x); NaN stays NaN.
func Relu(dst, x []float32) {
	x = x[:len(dst)]
	for i := best.relu.vectors(dst, x, nil, 0, 0, 0); i < len(dst); i++ {
		dst[i] = relu(x[i])
	}
}

func relu(v float32) float32 {
	if v < 0 {
		return 0
	}
	return v
}

// ReluGrad writes dst = dy where y > 0, 0 elsewhere; y may be Relu's input or its output.
func ReluGrad(dst, y, dy []float32) {
	y, dy = y[:len(dst)], dy[:len(dst)]
	for i := best.reluGrad.vectors(dst, y, dy, 0, 0, 0); i < len(dst); i++ {
		if y[i] > 0 {
			dst[i] = dy[i]
		} else {
			dst[i] = 0
		}
	}
}

// blocks runs f on the blocks of x, the last of which may be shorter, and returns what is left.
func (f blockFunc) blocks(x, z []float32, shift float32) (restX, restZ []float32, s, q float64) {
	if f == nil {
		return x, z, 0, 0
	}
	for len(x) >= 4*best.lanes {
		fours := min(len(x), block) / (4 * best.lanes)
		a, b := f(fours, &x[0], &z[0], shift)
		s += float64(a)
		q += float64(b)
		x, z = x[fours*4*best.lanes:], z[fours*4*best.lanes:]
	}
	return x, z, s, q
}

// Sum returns Σx.
func Sum(x []float32) float64 {
	x, _, t, _ := best.sum.blocks(x, x, 0)
	for len(x) > 0 {
		n := min(len(x), block)
		var s float32
		for _, v := range x[:n] {
			s += v
		}
		t += float64(s)
		x = x[n:]
	}
	return t
}

// Dot returns Σa·b.
func Dot(a, b []float32) float64 {
	a, b, t, _ := best.product.blocks(a, b[:len(a)], 0)
	for len(a) > 0 {
		n := min(len(a), block)
		var s float32
		for i, v := range a[:n] {
			s += v * b[i]
		}
		t += float64(s)
		a, b = a[n:], b[n:]
	}
	return t
}

// Moments returns Σ(x−shift) and Σ(x−shift)²: with the mean as shift, the second is the variance's numerator.
func Moments(x []float32, shift float32) (sum, square float64) {
	x, _, sum, square = best.moments.blocks(x, x, shift)
	for len(x) > 0 {
		n := min(len(x), block)
		var s, q float32
		for _, v := range x[:n] {
			d := v - shift
			s += d
			q += d * d
		}
		sum += float64(s)
		square += float64(q)
		x = x[n:]
	}
	return sum, square
}

// DotShift returns Σdy and Σ(x−shift)·dy, what the gradients of a normalisation's offset and scale need.
func DotShift(x, dy []float32, shift float32) (sum, dot float64) {
	x, dy, sum, dot = best.shifted.blocks(x, dy[:len(x)], shift)
	for len(x) > 0 {
		n := min(len(x), block)
		var s, q float32
		for i, v := range x[:n] {
			s += dy[i]
			q += (v - shift) * dy[i]
		}
		sum += float64(s)
		dot += float64(q)
		x, dy = x[n:], dy[n:]
	}
	return sum, dot
}

// Sigmoid writes dst = 1/(1+exp(−x)), within about two units in the last place; values below the normal numbers may be 0.
func Sigmoid(dst, x []float32) {
	curve(best.sigmoid, dst, x, func(v float64) float64 { return 1 / (1 + math.Exp(-v)) })
}

// Tanh writes dst = tanh(x), within about two units in the last place.
func Tanh(dst, x []float32) { curve(best.tanh, dst, x, math.Tanh) }

// Exp writes dst = exp(x), within about a unit in the last place.
func Exp(dst, x []float32) { curve(best.exp, dst, x, math.Exp) }

// curve applies f's vectors, to the rest as well: a polynomial is not math's function to the last bit.
func curve(f mapFunc, dst, x []float32, plain func(float64) float64) {
	x = x[:len(dst)]
	if f == nil {
		for i, v := range x {
			dst[i] = float32(plain(float64(v)))
		}
		return
	}
	i := f.vectors(dst, x, nil, 0, 0, 0)
	if i < len(dst) {
		var rest [16]float32
		copy(rest[:], x[i:])
		f(1, &rest[0], &rest[0], &rest[0], 0, 0, 0)
		copy(dst[i:], rest[:])
	}
}

// Gelu writes dst = x·Φ(x), Φ being the normal distribution's share below x, which is off by 1.2e-7 at most (Hendrycks and Gimpel 2016,
// arXiv:1606.08415).
func Gelu(dst, x []float32) {
	curve(best.gelu, dst, x, func(v float64) float64 { return v * normal(v) })
}

// GeluGrad writes dst = dy·(Φ(x) + x·φ(x)).
func GeluGrad(dst, x, dy []float32) {
	curveGrad(best.geluGrad, dst, x, dy, func(v float64) float64 { return normal(v) + v*math.Exp(-v*v/2)/math.Sqrt(2*math.Pi) })
}

func normal(v float64) float64 { return 0.5 * math.Erfc(-v/math.Sqrt2) }

// Silu writes dst = x·sigmoid(x), within about three units in the last place.
func Silu(dst, x []float32) {
	curve(best.silu, dst, x, func(v float64) float64 { return v / (1 + math.Exp(-v)) })
}

// SiluGrad writes dst = dy·s·(1 + x·(1 − s)), s = sigmoid(x).
func SiluGrad(dst, x, dy []float32) {
	curveGrad(best.siluGrad, dst, x, dy, func(v float64) float64 {
		s := 1 / (1 + math.Exp(-v))
		return s * (1 + v*(1-s))
	})
}

// curveGrad writes dst = dy·slope(x), as curve does.
func curveGrad(f mapFunc, dst, x, dy []float32, slope func(float64) float64) {
	x, dy = x[:len(dst)], dy[:len(dst)]
	if f == nil {
		for i, v := range x {
			dst[i] = float32(float64(dy[i]) * slope(float64(v)))
		}
		return
	}
	i := f.vectors(dst, x, dy, 0, 0, 0)
	if i < len(dst) {
		var at, rest [16]float32
		copy(at[:], x[i:])
		copy(rest[:], dy[i:])
		f(1, &rest[0], &at[0], &rest[0], 0, 0, 0)
		copy(dst[i:], rest[:])
	}
}

// AdamStep are the scalars of a step of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) in the order of torch.optim.AdamW's operations.
type AdamStep struct {
	Scale   float32 // of the gradients
	Lerp    float32 // 1 − beta1
	Keep    float32 // beta2
	Add     float32 // 1 − beta2
	Decay   float32 // 1 − rate·weight decay
	Size    float32 // rate / (1 − beta1^n)
	Root    float32 // √(1 − beta2^n)
	Epsilon float32
}

// AdamW takes a step: w are the weights, m and v the running means of gradients and of their squares, g the gradients. Every level gives
// the same bits.
func AdamW(w, m, v, g []float32, k AdamStep) {
	m, v, g = m[:len(w)], v[:len(w)], g[:len(w)]
	i := 0
	if n := len(w) / best.lanes; best.adamW != nil && n > 0 {
		best.adamW(n, &w[0], &m[0], &v[0], &g[0], &[8]float32{k.Scale, k.Lerp, k.Keep, k.Add, k.Decay, k.Size, k.Root, k.Epsilon})
		i = n * best.lanes
	}
	for ; i < len(w); i++ {
		d := float32(g[i] * k.Scale)
		m[i] += float32(k.Lerp * (d - m[i]))
		v[i] = float32(v[i]*k.Keep) + float32(float32(k.Add*d)*d)
		w[i] = float32(w[i]*k.Decay) - float32(k.Size*m[i])/(float32(math.Sqrt(float64(v[i])))/k.Root+k.Epsilon)
	}
}
