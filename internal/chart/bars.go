package chart

import (
	"html/template"
	"math"
	"strconv"
)

// Bars is a chart of bars: of things with names, or of a histogram's bins.
type Bars struct {
	// Title says what is to be seen. X and Y say what the axes are, with units.
	Title, X, Y string
	// Labels name the bars. Edges, instead, are the ends of a histogram's bins: one more than there are bars.
	Labels []string
	Edges  []float64
	// Groups, if there are any, name the bars' neighbourhoods, from the left.
	Groups []Group
	// Series are at most three classes. They stand on each other, or beside each other.
	Series []Series
	Beside bool
	// Whole says that what is counted has no fractions.
	Whole bool
	// LogY draws logarithms of what is counted: a bar of 1 is one that is seen.
	LogY bool
	// Written writes above each bar how high it is.
	Written bool
}

// Group names as many bars as it has.
type Group struct {
	Name string
	Bars int
}

// Series is what one class has at each bar: nothing below 0.
type Series struct {
	Name   string
	Values []float64
}

// barPaints are the classes' looks.
var barPaints = []paint{{fillClass: "bar"}, {fillClass: "bar-other"}, {fillClass: "faint"}}

// value is what a series has at a bar.
func (s *Series) value(i int) float64 {
	if i >= len(s.Values) || !finite(s.Values[i]) {
		return 0
	}
	return max(0, s.Values[i])
}

// n is the number of bars.
func (b *Bars) n() int {
	n := max(len(b.Labels), len(b.Edges)-1)
	for _, s := range b.Series {
		n = max(n, len(s.Values))
	}
	return n
}

// highest is the height of the highest bar.
func (b *Bars) highest() (most float64) {
	for i := range b.n() {
		sum := 0.0
		for k := range b.Series {
			if v := b.Series[k].value(i); b.Beside {
				sum = max(sum, v)
			} else {
				sum += v
			}
		}
		most = max(most, sum)
	}
	return most
}

// SVG draws the chart.
func (b Bars) SVG() template.HTML { return b.draw().page() }

func (b Bars) draw() *canvas {
	n, most := b.n(), b.highest()
	if n == 0 || most == 0 || !finite(most) || len(b.Edges) > 0 && len(b.Edges) != n+1 {
		return nothing(b.Title)
	}
	y := axis{low: 0, log: b.LogY}
	if b.LogY {
		y.low, y.high = min(0.5, most/2), 3*most
	} else {
		_, y.high = span(0, most, yTicks)
	}
	ys := y.ticks(yTicks, b.Whole)
	foot := float64(bottom)
	if len(b.Groups) > 0 {
		foot += lineHeight
	}
	legend := 0.0
	if len(b.Series) > 1 {
		var names []string
		for _, s := range b.Series {
			names = append(names, s.Name)
		}
		legend = 26 + widest(names...)
	}
	w := float64(width)
	if n > manyBars && len(b.Edges) == 0 {
		w = wide
	}
	x := axis{low: 0, high: float64(n), from: margin(ys), to: w - right - legend}
	y.from, y.to = height-foot, top
	out := begin("chart", b.Title, w, height)
	out.heading()
	for _, t := range ys {
		at := y.at(t.at)
		out.line("grid-line", x.from, at, x.to, at)
		out.text(x.from-6, at+4, "end", "faint", t.text)
	}
	for i := range n {
		b.bar(out, i, &x, &y)
	}
	out.line("axis", x.from, y.from, x.to, y.from)
	out.line("axis", x.from, y.from, x.from, y.to)
	b.below(out, n, &x, &y)
	out.text((x.from+x.to)/2, height-bottom+34, "middle", "", b.X)
	out.upright(&y, b.Y)
	for k := range b.Series {
		if legend > 0 {
			at := float64(top + lineHeight*k + lineHeight/2)
			out.rect(barPaints[min(k, len(barPaints)-1)], x.to+12, at-9, 10, 10, "")
			out.text(x.to+28, at, "start", "", b.Series[k].Name)
		}
	}
	return out
}

// bar draws what stands at one place.
func (b *Bars) bar(out *canvas, i int, x, y *axis) {
	from, to := x.at(float64(i)), x.at(float64(i+1))
	gap := max(min(4, (to-from)*0.15), to-from-barWidth)
	if len(b.Edges) > 0 {
		gap = min(0.5, (to-from)*0.15)
	}
	from, to = from+gap/2, to-gap/2
	below := 0.0
	for k := range b.Series {
		v := b.Series[k].value(i)
		if v == 0 {
			continue
		}
		left, w := from, to-from
		if b.Beside {
			w /= float64(len(b.Series))
			left, below = from+float64(k)*w, 0
		}
		foot, high := y.from, y.at(max(y.low, below+v))
		if below > 0 {
			foot = y.at(max(y.low, below))
		}
		out.rect(barPaints[min(k, len(barPaints)-1)], left, high, w, foot-high, b.describe(i, k, v))
		below += v
		if b.Written && b.Beside {
			out.text(left+w/2, high-3, "middle", "faint", strconv.FormatFloat(v, 'g', 6, 64))
		}
	}
	if b.Written && !b.Beside && below > 0 {
		out.text((from+to)/2, y.at(max(y.low, below))-3, "middle", "faint", strconv.FormatFloat(below, 'g', 6, 64))
	}
}

// describe says what a bar is.
func (b *Bars) describe(i, k int, v float64) string {
	name := ""
	switch {
	case len(b.Edges) > 0:
		step := b.Edges[1] - b.Edges[0]
		name = written(b.Edges[i], step) + " to " + written(b.Edges[i+1], step)
	case i < len(b.Labels):
		name = b.Labels[i]
	}
	if first := 0; len(b.Groups) > 0 {
		for _, g := range b.Groups {
			if i < first+g.Bars {
				name = g.Name + ", " + b.X + " " + name
				break
			}
			first += g.Bars
		}
	}
	if s := b.Series[k].Name; s != "" {
		name += ", " + s
	}
	return name + ": " + strconv.FormatFloat(v, 'g', 6, 64)
}

// below writes under the bars what they are; names that have no room are left out.
func (b *Bars) below(out *canvas, n int, x, y *axis) {
	if len(b.Edges) > 0 {
		low, high := b.Edges[0], b.Edges[n]
		values := axis{low: low, high: high, from: x.from, to: x.to}
		for _, t := range values.ticks(xTicks, false) {
			at := values.at(t.at)
			out.line("axis", at, y.from, at, y.from+4)
			out.text(at, y.from+16, "middle", "faint", t.text)
		}
		return
	}
	room := x.at(1) - x.at(0)
	every := max(1, int(math.Ceil((widest(b.Labels...)+4)/room)))
	for i, label := range b.Labels {
		if i%every == 0 {
			out.text(x.at(float64(i)+0.5), y.from+14, "middle", "faint", label)
		}
	}
	first := 0
	for _, g := range b.Groups {
		from, to := x.at(float64(first)), x.at(float64(first+g.Bars))
		out.line("axis", from+2, y.from+19, to-2, y.from+19)
		out.text((from+to)/2, y.from+31, "middle", "", g.Name)
		first += g.Bars
	}
}

// Bins counts values by bins of a round width, most or one more of them. Values that are not finite are left out.
func Bins(values []float64, most int) (edges, counts []float64) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if finite(v) {
			low, high = min(low, v), max(high, v)
		}
	}
	if low > high || !finite(high-low) {
		return nil, nil
	}
	width := nice((high - low) / float64(most))
	if !(width > 0) { // all are equal, or as good as
		step := nice(max(math.Abs(low)/10, 1e-3))
		edges, counts = []float64{low - step/2, low + step/2}, []float64{0}
		for _, v := range values {
			if finite(v) {
				counts[0]++
			}
		}
		return edges, counts
	}
	first := math.Floor(low/width + 1e-9)
	bin := func(v float64) int { return int(math.Floor(v/width+1e-9) - first) }
	counts = make([]float64, bin(high)+1)
	for i := range len(counts) + 1 {
		edges = append(edges, (first+float64(i))*width)
	}
	for _, v := range values {
		if finite(v) {
			counts[max(0, bin(v))]++
		}
	}
	return edges, counts
}
