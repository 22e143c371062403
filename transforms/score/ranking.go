package score

import (
	"cmp"
	"math"
	"slices"
)

// Labels are probabilities beside what is so: the plainest form of a two-class problem.
type Labels struct {
	P         []float64
	Fractured []bool
	// Group has the number of the study that each belongs to, if several may belong to one; nil if not.
	Group []int
}

// counts returns the numbers of fractured and intact.
func (l *Labels) counts() (positive, negative int) {
	for _, f := range l.Fractured {
		if f {
			positive++
		}
	}
	return positive, len(l.Fractured) - positive
}

// z95 is the standard normal distribution's 0.975 quantile.
const z95 = 1.959963984540054

// Area is the area under the ROC curve: the probability that a fractured one is given a higher probability than an intact one, ties
// counting half. Interval is its 95 % confidence interval. Both are undefined where there is but one class.
type Area struct {
	AUC      Figure    `json:"auc"`
	Interval [2]Figure `json:"auc_interval"`
}

// AUC returns the area under the ROC curve.
//
// Its variance is that of DeLong, DeLong & Clarke-Pearson (Biometrics 44, 1988) by the ranks of Sun & Xu (IEEE Signal Processing Letters
// 21, 2014). Where labels come in groups, as vertebrae of one patient do, it is Obuchowski's (Biometrics 53, 1997), which adds up the same
// components by group and is the same where no group has two: vertebrae that break together tell less than as many that break apart.
// The interval is symmetrical in the area's logit, so that it stays between 0 and 1 (Pepe, The Statistical Evaluation of Medical Tests, 2003, 5.2.5).
// Where that variance is 0 or unknown, as for perfect ranking and for a class of one, it is Newcombe's method 5 (Statistics in Medicine
// 25, 2006), which is defined everywhere; groups then count as one of each class that is in them.
func AUC(l Labels) Area {
	positive, negative := l.counts()
	if positive == 0 || negative == 0 {
		undefined := Figure(math.NaN())
		return Area{undefined, [2]Figure{undefined, undefined}}
	}
	m, n := float64(positive), float64(negative)
	all, within := midranks(l)
	// Each positive's component is the share of negatives below it, each negative's that of positives above it.
	component := make([]float64, len(l.P))
	area := 0.0
	for i, fractured := range l.Fractured {
		if fractured {
			component[i] = (all[i] - within[i]) / n
			area += component[i] / m
		} else {
			component[i] = 1 - (all[i]-within[i])/m
		}
	}
	variance, groups := clustered(l, component, area, m, n)
	a := Area{AUC: Figure(area)}
	if !(variance > 1e-18) || !(area > 0 && area < 1) {
		a.Interval = newcombe(area, groups[1], groups[0])
		return a
	}
	center, reach := math.Log(area/(1-area)), z95*math.Sqrt(variance)/(area*(1-area))
	a.Interval = [2]Figure{Figure(expit(center - reach)), Figure(expit(center + reach))}
	return a
}

// midranks returns each one's rank among all, and among its own class, from 1, equals sharing the mean of theirs.
func midranks(l Labels) (all, within []float64) {
	order := make([]int, len(l.P))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(l.P[a], l.P[b]) })
	all, within = make([]float64, len(l.P)), make([]float64, len(l.P))
	var before [2]int // how many of each class are below
	for from := 0; from < len(order); {
		to := from
		var same [2]int
		for ; to < len(order) && l.P[order[to]] == l.P[order[from]]; to++ {
			same[class(l.Fractured[order[to]])]++
		}
		for _, i := range order[from:to] {
			c := class(l.Fractured[i])
			all[i] = float64(from) + float64(to-from+1)/2
			within[i] = float64(before[c]) + float64(same[c]+1)/2
		}
		before[0], before[1] = before[0]+same[0], before[1]+same[1]
		from = to
	}
	return all, within
}

func class(fractured bool) int {
	if fractured {
		return 1
	}
	return 0
}

// clustered is Obuchowski's variance of an area, NaN where a class is in fewer than two groups, and the number of groups that have
// intact and fractured ones.
func clustered(l Labels, component []float64, area, m, n float64) (variance float64, groups [2]float64) {
	type sums struct{ deviation, count [2]float64 }
	byGroup := make(map[int]*sums)
	var order []*sums // adding up in one order gives equal bits
	for i, v := range component {
		group := i
		if l.Group != nil {
			group = l.Group[i]
		}
		g := byGroup[group]
		if g == nil {
			g = &sums{}
			byGroup[group], order = g, append(order, g)
		}
		c := class(l.Fractured[i])
		g.deviation[c] += v - area
		g.count[c]++
	}
	var square [2]float64
	cross := 0.0
	for _, g := range order {
		for c := range square {
			square[c] += g.deviation[c] * g.deviation[c]
			if g.count[c] > 0 {
				groups[c]++
			}
		}
		cross += g.deviation[0] * g.deviation[1]
	}
	if groups[0] < 2 || groups[1] < 2 {
		return math.NaN(), groups
	}
	variance = square[1]*groups[1]/(groups[1]-1)/(m*m) + square[0]*groups[0]/(groups[0]-1)/(n*n)
	if both := float64(len(order)); l.Group != nil && both > 1 {
		variance += 2 * cross * both / (both - 1) / (m * n)
	}
	return variance, groups
}

// newcombe solves (θ − area)² = z²·V(θ), V(θ) = θ(1−θ)·(1 + k(1−θ)/(2−θ) + kθ/(1+θ))/mn, k = (m+n)/2 − 1, by halving.
func newcombe(area, m, n float64) [2]Figure {
	k := (m+n)/2 - 1
	beyond := func(t float64) bool { // whether t is farther from the area than the interval reaches
		v := t * (1 - t) * (1 + k*(1-t)/(2-t) + k*t/(1+t)) / (m * n)
		return math.Abs(t-area) > z95*math.Sqrt(v)
	}
	var ends [2]Figure
	for i, outer := range []float64{0, 1} {
		inner := area
		for range 200 {
			middle := (inner + outer) / 2
			if beyond(middle) {
				outer = middle
			} else {
				inner = middle
			}
		}
		ends[i] = Figure((inner + outer) / 2)
	}
	return ends
}

func expit(z float64) float64 {
	if z >= 0 {
		return 1 / (1 + math.Exp(-z))
	}
	e := math.Exp(z)
	return e / (1 + e)
}

// Step is a point of the ROC curve: what is taken for fractured if everything is whose probability is Threshold or more.
type Step struct {
	Threshold     float64
	True, Falsely int // of those taken for fractured
}

// Steps returns the ROC curve's points from the highest threshold to the lowest, one for each probability that occurs. That at which
// nothing is taken for fractured is not among them.
func Steps(l Labels) []Step {
	order := make([]int, len(l.P))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(l.P[b], l.P[a]) })
	var steps []Step
	var at Step
	for k, i := range order {
		if l.Fractured[i] {
			at.True++
		} else {
			at.Falsely++
		}
		if at.Threshold = l.P[i]; k+1 == len(order) || l.P[order[k+1]] != at.Threshold {
			steps = append(steps, at)
		}
	}
	return steps
}

// AveragePrecision is Σ (Rₖ − Rₖ₋₁)·Pₖ over thresholds from high to low, with recall R and precision P: the area under the
// precision-recall curve in steps, without interpolation (as scikit-learn defines it). NaN where nothing is fractured.
func AveragePrecision(l Labels) Figure {
	positive, _ := l.counts()
	sum, before := 0.0, 0
	for _, s := range Steps(l) {
		sum += float64(s.True-before) * float64(s.True) / float64(s.True+s.Falsely)
		before = s.True
	}
	return Figure(sum / float64(positive))
}

// Operating is a point of the ROC curve that is worked at.
type Operating struct {
	Value     Figure `json:"value"`
	Threshold Figure `json:"threshold"` // what is as likely or more is taken for fractured; null where nothing is
}

// SensitivityAt90 is the highest sensitivity of those thresholds that keep a specificity of 90 % or more, and the highest such threshold.
func SensitivityAt90(l Labels) Operating {
	positive, negative := l.counts()
	best, o := 0, Operating{0, Figure(math.NaN())}
	for _, s := range Steps(l) {
		if 10*s.Falsely <= negative && s.True > best {
			best, o.Threshold = s.True, Figure(s.Threshold)
		}
	}
	return o.of(best, positive, negative, positive)
}

// SpecificityAt90 is the highest specificity of those thresholds that keep a sensitivity of 90 % or more, and that threshold.
func SpecificityAt90(l Labels) Operating {
	positive, negative := l.counts()
	best, o := -1, Operating{0, Figure(math.NaN())}
	for _, s := range Steps(l) {
		if 10*s.True >= 9*positive && negative-s.Falsely > best {
			best, o.Threshold = negative-s.Falsely, Figure(s.Threshold)
		}
	}
	return o.of(best, negative, negative, positive)
}

// of sets the value; one class alone has none.
func (o Operating) of(part, whole, negative, positive int) Operating {
	if negative == 0 || positive == 0 {
		return Operating{Figure(math.NaN()), Figure(math.NaN())}
	}
	o.Value = Figure(float64(part) / float64(whole))
	return o
}
