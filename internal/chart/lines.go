package chart

import (
	"html/template"
	"math"
	"strings"
)

// Lines is a chart of curves.
type Lines struct {
	// Title says what is to be seen. X and Y say what the axes are, with units.
	Title, X, Y string
	Lines       []Line
	// XRange and YRange are the axes' ends; where both ends are equal the values decide.
	XRange, YRange [2]float64
	// WholeX says that only whole numbers are worth a tick.
	WholeX bool
	// LogY draws logarithms; values that have none are left out.
	LogY bool
	// Square draws a square with the diagonal on which both axes are equal, as for ROC and reliability curves.
	Square bool
}

// Line is one curve. It is broken where a value is not finite.
type Line struct {
	Name string
	X, Y []float64
	// Low and High, if they are as long as Y, are the ends of each point's interval: a band, or whiskers where there are points.
	Low, High []float64
	// Colour is one of its own, such as #e69f00, or TextColour; "" takes that of its class, which differs for dashed lines.
	Colour string
	Dashed bool
	Wide   bool
	// Points marks each value.
	Points bool
}

// TextColour is the text's, in light and in dark: for what belongs to no level.
const TextColour = "currentColor"

// Add adds a point.
func (l *Line) Add(x, y float64) { l.X, l.Y = append(l.X, x), append(l.Y, y) }

func (l *Line) paint() paint {
	p := paint{class: "series", fillClass: "bar", colour: l.Colour, dashed: l.Dashed, wide: l.Wide}
	if l.Dashed {
		p.class, p.fillClass = "other", "bar-other"
	}
	return p
}

// interval tells whether the points have intervals.
func (l *Line) interval() bool { return len(l.Low) == len(l.Y) && len(l.High) == len(l.Y) }

const yTicks, xTicks = 5, 8

// SVG draws the chart.
func (c Lines) SVG() template.HTML { return c.draw().page() }

func (c Lines) draw() *canvas {
	x, y, ok := c.ranges()
	if !ok {
		return nothing(c.Title)
	}
	xs, ys := x.ticks(xTicks, c.WholeX), y.ticks(yTicks, false)
	legend := c.legendWidth()
	left := margin(ys)
	w, h := float64(width), float64(height)
	if c.Square {
		w, h = left+side+right+legend, top+side+bottom
	}
	x.from, x.to = left, w-right-legend
	y.from, y.to = h-bottom, top
	out := begin("chart", c.Title, w, h)
	out.heading()
	out.axes(&x, &y, xs, ys, c.X, c.Y)
	if c.Square {
		out.line("ideal", x.at(max(x.low, y.low)), y.at(max(x.low, y.low)), x.at(min(x.high, y.high)), y.at(min(x.high, y.high)))
	}
	for i := range c.Lines {
		out.band(&c.Lines[i], &x, &y)
	}
	for i := range c.Lines {
		out.curve(&c.Lines[i], &x, &y)
	}
	at := float64(top + lineHeight/2)
	for i := range c.Lines {
		if l := &c.Lines[i]; legend > 0 && l.Name != "" {
			out.path(l.paint(), "M"+number(x.to+12)+" "+number(at-4)+"h18", "")
			out.text(x.to+36, at, "start", "", l.Name)
			at += lineHeight
		}
	}
	return out
}

// legendWidth is the room for the curves' names; 0 where there is one alone.
func (c *Lines) legendWidth() float64 {
	var names []string
	for _, l := range c.Lines {
		if l.Name != "" {
			names = append(names, l.Name)
		}
	}
	if len(names) < 2 {
		return 0
	}
	return 30 + widest(names...)
}

// ranges are the axes without their places. It is not ok where nothing can be drawn.
func (c *Lines) ranges() (x, y axis, ok bool) {
	y.log = c.LogY
	x.low, x.high, y.low, y.high = math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for i := range c.Lines {
		l := &c.Lines[i]
		for k, v := range l.Y {
			if k >= len(l.X) || !finite(l.X[k]) || !finite(v) || c.LogY && v <= 0 {
				continue
			}
			ok = true
			x.low, x.high = min(x.low, l.X[k]), max(x.high, l.X[k])
			y.low, y.high = min(y.low, v), max(y.high, v)
			if l.interval() && finite(l.Low[k]) && finite(l.High[k]) && (!c.LogY || l.Low[k] > 0) {
				y.low, y.high = min(y.low, l.Low[k]), max(y.high, l.High[k])
			}
		}
	}
	switch {
	case !ok:
		return x, y, false
	case c.LogY && y.low == y.high:
		y.low, y.high = y.low/2, y.high*2
	case !c.LogY:
		y.low, y.high = span(y.low, y.high, yTicks)
	}
	if x.low == x.high {
		x.low, x.high = x.low-1, x.high+1
	}
	if c.XRange[0] != c.XRange[1] {
		x.low, x.high = c.XRange[0], c.XRange[1]
	}
	if c.YRange[0] != c.YRange[1] && (!c.LogY || c.YRange[0] > 0) {
		y.low, y.high = c.YRange[0], c.YRange[1]
	}
	return x, y, finite(x.high-x.low) && finite(y.high-y.low)
}

// parts calls each with the pieces of a line between its gaps.
func (l *Line) parts(x, y *axis, each func(from, to int)) {
	n := min(len(l.X), len(l.Y))
	for from := 0; from < n; from++ {
		to := from
		for to < n && x.has(l.X[to]) && y.has(l.Y[to]) {
			to++
		}
		if to > from {
			each(from, to)
			from = to
		}
	}
}

// curve draws a line. Points that lie on the one before, as in long curves, are left out.
func (c *canvas) curve(l *Line, x, y *axis) {
	p := l.paint()
	l.parts(x, y, func(from, to int) {
		if to-from > 1 {
			var d strings.Builder
			lastX, lastY := math.Inf(-1), math.Inf(-1)
			for k := from; k < to; k++ {
				px, py := x.at(l.X[k]), y.at(l.Y[k])
				if math.Abs(px-lastX) < 0.3 && math.Abs(py-lastY) < 0.3 && k+1 < to {
					continue
				}
				d.WriteByte("ML"[min(1, k-from)])
				d.WriteString(number(px) + " " + number(py))
				lastX, lastY = px, py
			}
			c.path(p, d.String(), l.Name)
		}
		for k := from; k < to && (l.Points || to-from == 1); k++ {
			px := x.at(l.X[k])
			if l.Points && l.interval() && y.has(l.Low[k]) && y.has(l.High[k]) {
				c.path(p, "M"+number(px)+" "+number(y.at(l.Low[k]))+"V"+number(y.at(l.High[k])), "")
			}
			c.dot(p, px, y.at(l.Y[k]), 3, l.Name+" "+written(l.X[k], 0)+": "+written(l.Y[k], 0))
		}
	})
}

// band draws the intervals of a line that has no points.
func (c *canvas) band(l *Line, x, y *axis) {
	if l.Points || !l.interval() {
		return
	}
	within := func(v float64) float64 { return y.at(min(max(v, y.low), y.high)) }
	l.parts(x, y, func(from, to int) {
		var d strings.Builder
		for k := from; k < to; k++ {
			if !finite(l.Low[k]) || !finite(l.High[k]) {
				return
			}
			d.WriteByte("ML"[min(1, k-from)])
			d.WriteString(number(x.at(l.X[k])) + " " + number(within(l.High[k])))
		}
		for k := to - 1; k >= from; k-- {
			d.WriteString("L" + number(x.at(l.X[k])) + " " + number(within(l.Low[k])))
		}
		if to-from > 1 {
			c.WriteString(`<path class="band" d="` + d.String() + `Z"/>`)
		}
	})
}
