package phantom

import "math"

// dice is a stream of random numbers that depends on nothing but its keys, so that every part of a study can
// draw its own numbers in any order and on any goroutine.
type dice struct{ state uint64 }

// newDice starts a stream for a list of keys (seed, study, what it is for).
func newDice(keys ...uint64) *dice {
	d := &dice{state: 0x9e3779b97f4a7c15}
	for _, k := range keys {
		d.state = scramble(d.state ^ scramble(k+0x632be59bd9b4e019))
	}
	return d
}

// scramble is the finalizer of SplitMix64 (Steele, Lea, Flood 2014): a bijection that passes for random.
func scramble(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (d *dice) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	return scramble(d.state)
}

// unit is uniform in [0, 1).
func (d *dice) unit() float64 { return float64(d.next()>>11) / (1 << 53) }

// between is uniform in [lo, hi).
func (d *dice) between(lo, hi float64) float64 { return lo + (hi-lo)*d.unit() }

// around is normal, cut off at two and a half standard deviations.
func (d *dice) around(mean, deviation float64) float64 {
	n := math.Sqrt(-2*math.Log(1-d.unit())) * math.Cos(2*math.Pi*d.unit())
	return mean + deviation*max(-2.5, min(2.5, n))
}

func (d *dice) chance(p float64) bool { return d.unit() < p }

// pick is uniform in 0 … n-1.
func (d *dice) pick(n int) int { return int(d.unit() * float64(n)) }

// sign is -1 or 1.
func (d *dice) sign() float64 {
	if d.chance(0.5) {
		return -1
	}
	return 1
}
