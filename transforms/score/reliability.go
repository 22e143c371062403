package score

import "math"

// Bins is how many bins a reliability curve has: of equal width, as in Naeini, Cooper & Hauskrecht (AAAI 2015) and Guo et al.
// (arXiv 1706.04599), so that errors can be compared with those that others report.
const Bins = 10

// Bin is a bin of a reliability curve: (Low, High], the first with its lower end.
type Bin struct {
	Low       float64 `json:"low"`
	High      float64 `json:"high"`
	N         int     `json:"n"`
	Fractured int     `json:"fractured"`
	// Mean is the mean probability, Share the share of fractured, Interval its 95 % confidence interval (Wilson, JASA 22, 1927).
	// All are undefined where the bin is empty.
	Mean     Figure    `json:"mean_probability"`
	Share    Figure    `json:"share_fractured"`
	Interval [2]Figure `json:"share_interval"`
}

// Reliability returns what comes true of probabilities, bin by bin.
func Reliability(l Labels) [Bins]Bin {
	var bins [Bins]Bin
	var sums [Bins]float64
	for b := range bins {
		bins[b].Low, bins[b].High = edge(b), edge(b+1)
	}
	for i, p := range l.P {
		b := 0
		for b+1 < Bins && p > edge(b+1) {
			b++
		}
		bins[b].N++
		bins[b].Fractured += class(l.Fractured[i])
		sums[b] += p
	}
	for b := range bins {
		n := float64(bins[b].N)
		bins[b].Mean, bins[b].Share = Figure(sums[b]/n), Figure(float64(bins[b].Fractured)/n)
		bins[b].Interval = wilson(float64(bins[b].Fractured), n)
	}
	return bins
}

// edge is a bin's lower end, as numpy's linspace has it.
func edge(bin int) float64 {
	if bin == Bins {
		return 1
	}
	return float64(bin) * 0.1
}

// wilson is the score interval of a share, NaN of nothing.
func wilson(k, n float64) [2]Figure {
	center := (k + z95*z95/2) / (n + z95*z95)
	reach := z95 / (n + z95*z95) * math.Sqrt(k*(n-k)/n+z95*z95/4)
	return [2]Figure{Figure(max(0, center-reach)), Figure(min(1, center+reach))}
}

// CalibrationError is the expected calibration error: the mean over bins, by their numbers, of the distance between mean probability and
// share of fractured. NaN where nothing is labelled.
func CalibrationError(bins [Bins]Bin) Figure {
	sum, n := 0.0, 0
	for _, b := range bins {
		if b.N > 0 {
			sum += float64(b.N) * math.Abs(float64(b.Mean-b.Share))
			n += b.N
		}
	}
	return Figure(sum / float64(n))
}

// Brier is the mean squared distance between probability and what is so (Brier, Monthly Weather Review 78, 1950). NaN where nothing
// is labelled.
func Brier(l Labels) Figure {
	sum := 0.0
	for i, p := range l.P {
		d := p - float64(class(l.Fractured[i]))
		sum += d * d
	}
	return Figure(sum / float64(len(l.P)))
}
