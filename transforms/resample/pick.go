package resample

import "math"

// Pick returns the k of n slices that a volume takes: round(quantile([0..n-1], linspace(0, 1, k))), half to
// even, for k ≥ 1. It repeats the floating point of numpy 2 step by step, since quantiles that fall half-way
// between two slices are common and which way they round hangs on the last bit. Slices repeat when n < k.
// It is empty when n or k is less than 1.
func Pick(n, k int) []int {
	if n < 1 || k < 1 {
		return nil
	}
	picked := make([]int, k)
	step := 1 / float64(max(k-1, 1))
	for i := range picked {
		q := float64(float64(i) * step)
		if i == k-1 && k > 1 {
			q = 1
		}
		picked[i] = int(math.RoundToEven(quantile(n, q)))
	}
	return picked
}

// quantile is np.quantile(range(n), q), method "linear".
func quantile(n int, q float64) float64 {
	at := float64(float64(n-1) * q)
	if at >= float64(n-1) {
		return float64(n - 1)
	}
	below := math.Floor(at)
	t := at - below
	if t >= 0.5 { // numpy comes from the nearer end
		return below + 1 - (1 - t)
	}
	return below + t
}
