package chart

import (
	"html/template"
	"math"
)

// Intervals is a chart of values with their intervals, one below the other.
type Intervals struct {
	// Title says what is to be seen, and X what the axis is, with its unit.
	Title, X string
	Rows     []Interval
	// Range are the axis's ends; where they are equal the values decide.
	Range [2]float64
	// Reference is a value to compare with, drawn as a line; 0 draws none.
	Reference float64
}

// Interval is a row of the chart. A value that is not finite has its note only.
type Interval struct {
	Name             string
	Value, Low, High float64
	Colour           string // "" takes that of its class
	Note             string // stands at the right
}

// SVG draws the chart.
func (c Intervals) SVG() template.HTML { return c.draw().page() }

func (c Intervals) draw() *canvas {
	x := axis{low: math.Inf(1), high: math.Inf(-1)}
	var names, notes []string
	for _, r := range c.Rows {
		names, notes = append(names, r.Name), append(notes, r.Note)
		for _, v := range []float64{r.Value, r.Low, r.High} {
			if finite(v) {
				x.low, x.high = min(x.low, v), max(x.high, v)
			}
		}
	}
	if c.Range[0] != c.Range[1] {
		x.low, x.high = c.Range[0], c.Range[1]
	}
	if len(c.Rows) == 0 || !finite(x.high-x.low) {
		return nothing(c.Title)
	}
	if c.Range[0] == c.Range[1] {
		x.low, x.high = span(x.low, x.high, xTicks)
	}
	const row = 22
	name, note := widest(names...), widest(notes...)
	x.from = 28 + name
	x.to = x.from + side
	h := float64(top + row*len(c.Rows) + bottom)
	y := axis{low: 0, high: float64(len(c.Rows)), from: h - bottom, to: top}
	out := begin("chart", c.Title, x.to+right+note, h)
	out.heading()
	for _, t := range x.ticks(5, false) {
		at := x.at(t.at)
		out.line("grid-line", at, y.from, at, y.to)
		out.text(at, y.from+16, "middle", "faint", t.text)
	}
	out.line("axis", x.from, y.from, x.to, y.from)
	out.text((x.from+x.to)/2, y.from+34, "middle", "", c.X)
	if c.Reference != 0 && x.has(c.Reference) {
		out.line("ideal", x.at(c.Reference), y.from, x.at(c.Reference), y.to)
	}
	for i, r := range c.Rows {
		at := top + row*(float64(i)+0.5)
		p := paint{class: "series", fillClass: "bar", colour: r.Colour}
		out.rect(p, 4, at-6, 10, 10, "")
		out.text(20, at+3, "start", "", r.Name)
		out.text(x.to+10, at+3, "start", "faint", r.Note)
		if !x.has(r.Value) {
			continue
		}
		if finite(r.Low) && finite(r.High) {
			low, high := x.at(min(max(r.Low, x.low), x.high)), x.at(min(max(r.High, x.low), x.high))
			out.path(p, "M"+number(low)+" "+number(at-4)+"v8M"+number(low)+" "+number(at)+"H"+number(high)+"M"+number(high)+" "+number(at-4)+"v8", "")
		}
		out.dot(p, x.at(r.Value), at, 4, r.Name+": "+written(r.Value, 0))
	}
	return out
}
