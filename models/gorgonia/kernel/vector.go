package kernel

import "math"

// Vector loops. Slices that must be of one length are checked against the first. dst may be an input (the very same slice); partly
// overlapping slices are forbidden. Sums add blocks in float32 and blocks to each other in float64.

const block = 1024

// Add writes dst = a + b.
func Add(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// Mul writes dst = a · b.
func Mul(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}

// Axpy writes dst += alpha · x.
func Axpy(dst []float32, alpha float32, x []float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] += alpha * x[i]
	}
}

// Affine writes dst = a·x + b.
func Affine(dst, x []float32, a, b float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] = a*x[i] + b
	}
}

// AffineRelu writes dst = max(0, a·x + b); NaN stays NaN.
func AffineRelu(dst, x []float32, a, b float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] = relu(a*x[i] + b)
	}
}

// Affine2 writes dst = a·x + b·z + c.
func Affine2(dst, x, z []float32, a, b, c float32) {
	x, z = x[:len(dst)], z[:len(dst)]
	for i := range dst {
		dst[i] = a*x[i] + b*z[i] + c
	}
}

// Relu writes dst = max(0, x); NaN stays NaN.
func Relu(dst, x []float32) {
	x = x[:len(dst)]
	for i := range dst {
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
	for i := range dst {
		if y[i] > 0 {
			dst[i] = dy[i]
		} else {
			dst[i] = 0
		}
	}
}

// Sum returns Σx.
func Sum(x []float32) float64 {
	var t float64
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
	b = b[:len(a)]
	var t float64
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
	dy = dy[:len(x)]
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

// Sigmoid writes dst = 1/(1+exp(−x)).
func Sigmoid(dst, x []float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] = float32(1 / (1 + math.Exp(-float64(x[i]))))
	}
}

// Tanh writes dst = tanh(x).
func Tanh(dst, x []float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] = float32(math.Tanh(float64(x[i])))
	}
}

// Exp writes dst = exp(x).
func Exp(dst, x []float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] = float32(math.Exp(float64(x[i])))
	}
}
