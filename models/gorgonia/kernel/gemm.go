package kernel

import "fmt"

// Gemm computes c = alpha·op(a)·op(b) + beta·c for row-major matrices: op(a) is m×k, op(b) is k×n, c is m×n, and ld… are the
// floats from row to row as the matrices lie in memory. With beta 0, c's old content is not read. It panics when a slice is too short.
func Gemm(w *Workers, transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	if m < 0 || n < 0 || k < 0 {
		panic(fmt.Sprintf("kernel: matrix product of sizes %d, %d, %d", m, n, k))
	}
	rows := func(what string, s []float32, r, cols, ld int, trans bool) {
		if trans {
			r, cols = cols, r
		}
		if r > 0 && cols > 0 && (ld < cols || len(s) < (r-1)*ld+cols) {
			panic(fmt.Sprintf("kernel: matrix %s of %d×%d with %d floats a row does not fit %d floats", what, r, cols, ld, len(s)))
		}
	}
	rows("a", a, m, k, lda, transA)
	rows("b", b, k, n, ldb, transB)
	rows("c", c, m, n, ldc, false)
	if m == 0 || n == 0 {
		return
	}
	w.Do(m, func(_, i int) {
		row := c[i*ldc:][:n]
		for j := range row {
			var t float32
			for p := range k {
				ai, bi := i*lda+p, p*ldb+j
				if transA {
					ai = p*lda + i
				}
				if transB {
					bi = j*ldb + p
				}
				t += a[ai] * b[bi]
			}
			if beta == 0 {
				row[j] = alpha * t
			} else {
				row[j] = alpha*t + beta*row[j]
			}
		}
	})
}
