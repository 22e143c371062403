package phantom

import "sort"

// profile is a smooth curve through knots that does not overshoot them (Fritsch and Carlson 1980), constant
// beyond its ends. x must rise.
type profile struct{ x, y, slope []float64 }

func newProfile(x, y []float64) *profile {
	n := len(x)
	p := &profile{x, y, make([]float64, n)}
	secant := func(i int) float64 { return (y[i+1] - y[i]) / (x[i+1] - x[i]) }
	for i := 1; i < n-1; i++ {
		a, b := secant(i-1), secant(i)
		if a*b > 0 {
			p.slope[i] = 2 * a * b / (a + b)
		}
	}
	if n > 1 {
		p.slope[0], p.slope[n-1] = secant(0), secant(n-2)
	}
	return p
}

func (p *profile) at(x float64) float64 {
	n := len(p.x)
	if x <= p.x[0] {
		return p.y[0]
	}
	if x >= p.x[n-1] {
		return p.y[n-1]
	}
	i := sort.SearchFloat64s(p.x, x) - 1
	h := p.x[i+1] - p.x[i]
	t := (x - p.x[i]) / h
	u := 1 - t
	return u*u*(1+2*t)*p.y[i] + t*t*(3-2*t)*p.y[i+1] + h*t*u*(u*p.slope[i]-t*p.slope[i+1])
}
