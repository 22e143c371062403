// Package chart draws charts as SVG, to stand in a page or in a file of their own: one style for both.
//
// Invariants:
//   - What it writes must be well-formed XML, whatever names and numbers it is given. What is not finite is left out.
//   - It must use no style attribute and no script: pages forbid both. How things look is by classes, so that light and dark work; only the
//     colours of levels are attributes. A file has the classes' rules in it, and needs nothing else.
//   - A colour must have its text beside it: in a legend, or at the row.
//   - Every chart has a title, and says in words and units what its axes are.
//   - Equal arguments give equal bytes.
package chart

import (
	"fmt"
	"html"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The sizes of charts in pixels, and of what stands in them.
const (
	width, height = 460, 250
	side          = 300 // of the square in which both axes are shares
	wide          = 640 // of what has many bars
	manyBars      = 20
	barWidth      = 48  // at most
	letter        = 6.2 // the mean width of one
	lineHeight    = 16
	bottom        = 40     // room for ticks and their label
	top, right    = 30, 14 // room for the title
)

// Chart is what can be drawn: Lines, Bars or Intervals.
type Chart interface {
	// SVG draws it for a page.
	SVG() template.HTML
	draw() *canvas
}

// canvas is a chart that is being drawn.
type canvas struct {
	strings.Builder // what stands in it
	class, title    string
	width, height   float64
}

// begin is an empty chart with a title.
func begin(class, title string, width, height float64) *canvas {
	return &canvas{class: class, title: title, width: width, height: height}
}

// heading writes the title for all to see.
func (c *canvas) heading() {
	fmt.Fprintf(c, `<text x="4" y="15" font-weight="600">%s</text>`, escape(c.title))
}

// page is the chart as a part of a page.
func (c *canvas) page() template.HTML {
	var out strings.Builder
	c.write(&out, 0, 0)
	return template.HTML(out.String()) //nolint:gosec // everything that was given went through escape
}

// write writes the chart; x and y are where it lies in another, from the upper left.
func (c *canvas) write(w io.Writer, x, y float64) {
	at := ""
	if x != 0 || y != 0 {
		at = fmt.Sprintf(` x="%s" y="%s"`, number(x), number(y))
	}
	fmt.Fprintf(w, `<svg class="%s" role="img"%s viewBox="0 0 %s %s" width="%s" height="%s"><title>%s</title>%s</svg>`, c.class, at, number(c.width),
		number(c.height), number(c.width), number(c.height), escape(c.title), c.String())
}

// line draws a straight line of a class.
func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(c, `<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`, class, number(x1), number(y1), number(x2), number(y2))
}

// text writes at a place; anchor is start, middle or end.
func (c *canvas) text(x, y float64, anchor, class, text string) {
	fmt.Fprintf(c, `<text x="%s" y="%s" text-anchor="%s"`, number(x), number(y), anchor)
	if class != "" {
		fmt.Fprintf(c, ` class="%s"`, class)
	}
	fmt.Fprintf(c, `>%s</text>`, escape(text))
}

// rect fills a rectangle, which says what it is to whoever points at it.
func (c *canvas) rect(p paint, x, y, w, h float64, title string) {
	fmt.Fprintf(c, `<rect %s x="%s" y="%s" width="%s" height="%s"`, p.fill(), number(x), number(y), number(w), number(h))
	c.titled("rect", title)
}

// dot draws a point.
func (c *canvas) dot(p paint, x, y, radius float64, title string) {
	fmt.Fprintf(c, `<circle %s cx="%s" cy="%s" r="%s"`, p.fill(), number(x), number(y), number(radius))
	c.titled("circle", title)
}

// path draws a curve.
func (c *canvas) path(p paint, d, title string) {
	fmt.Fprintf(c, `<path %s d="%s"`, p.stroke(), d)
	c.titled("path", title)
}

// titled ends a mark.
func (c *canvas) titled(tag, title string) {
	if title == "" {
		c.WriteString("/>")
		return
	}
	fmt.Fprintf(c, "><title>%s</title></%s>", escape(title), tag)
}

// paint says how a mark looks: as its class, or in a colour of its own.
type paint struct {
	class        string // of lines; fills have fillClass
	fillClass    string
	colour       string // such as #e69f00; it takes the classes' place
	dashed, wide bool
}

func (p paint) fill() string {
	if p.colour != "" {
		return `fill="` + escape(p.colour) + `"`
	}
	return `class="` + p.fillClass + `"`
}

func (p paint) stroke() string {
	if p.colour == "" {
		return `class="` + p.class + `"`
	}
	thick := "1.6"
	if p.wide {
		thick = "2.4"
	}
	text := `fill="none" stroke="` + escape(p.colour) + `" stroke-width="` + thick + `"`
	if p.dashed {
		text += ` stroke-dasharray="5 3"`
	}
	return text
}

// escape makes any text part of an XML document: what XML can't hold is left out.
func escape(text string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError || r == 0xFFFE || r == 0xFFFF {
			return -1
		}
		return r
	}, text))
}

// number writes a place to the hundredth of a pixel.
func number(v float64) string {
	return strconv.FormatFloat(math.Round(v*100)/100+0, 'f', -1, 64)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// widest is the width of the widest of some texts.
func widest(texts ...string) (most float64) {
	for _, t := range texts {
		most = max(most, letter*float64(utf8.RuneCountInString(t)))
	}
	return most
}

// axis maps values to pixels.
type axis struct {
	low, high float64
	log       bool
	from, to  float64 // pixels
}

// at is where a value lies.
func (a *axis) at(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		low, high, v = math.Log10(low), math.Log10(high), math.Log10(v)
	}
	if high == low {
		return (a.from + a.to) / 2
	}
	return a.from + (v-low)/(high-low)*(a.to-a.from)
}

// has tells whether a value can be drawn.
func (a *axis) has(v float64) bool {
	rounding := 1e-9 * (a.high - a.low) // an area of 1 may be a little more
	return finite(v) && (!a.log || v > 0) && v >= a.low-rounding && v <= a.high+rounding
}

// ticks are the values that are written at the axis, and how.
func (a *axis) ticks(most int, whole bool) []tick {
	if a.log {
		return logTicks(a.low, a.high)
	}
	return ticks(a.low, a.high, most, whole)
}

type tick struct {
	at   float64
	text string
}

// nice is the least of 1, 2, 5, 10, 20, … (and of their tenths) that is not less than a step.
func nice(step float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(step)))
	for _, times := range []float64{1, 2, 5} {
		if step <= times*unit*(1+1e-9) {
			return times * unit
		}
	}
	return 10 * unit
}

// ticks are at most most+1 round values from low to high.
func ticks(low, high float64, most int, whole bool) []tick {
	if !finite(high-low) || high < low {
		return nil
	}
	if high == low {
		return []tick{{low, written(low, 0)}}
	}
	step := nice((high - low) / float64(most))
	if whole {
		step = max(1, step)
	}
	if !(step > 0) {
		return nil
	}
	first, last := math.Ceil(low/step-1e-9), math.Floor(high/step+1e-9)
	var all []tick
	for i := range int(min(last-first, float64(2*most))) + 1 {
		v := (first + float64(i)) * step
		all = append(all, tick{v, written(v, step)})
	}
	return all
}

// written is a value with as many decimals as its step asks for.
func written(v, step float64) string {
	switch {
	case v == 0:
		return "0"
	case step == 0:
		return strconv.FormatFloat(v, 'g', 4, 64)
	case step < 1e-4 || math.Abs(v) >= 1e6:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return strconv.FormatFloat(v, 'f', max(0, -int(math.Floor(math.Log10(step)+1e-9))), 64)
}

// logTicks are powers of ten; where there are few of them, twice and five times as much too.
func logTicks(low, high float64) []tick {
	first, last := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	if !finite(last - first) {
		return nil
	}
	times := []float64{1}
	if last-first <= 2 {
		times = []float64{1, 2, 5}
	}
	every := max(1, math.Ceil((last-first)/8))
	var all []tick
	for power := first; power <= last; power += every {
		for _, t := range times {
			if v := t * math.Pow(10, power); v >= low*(1-1e-9) && v <= high*(1+1e-9) {
				all = append(all, tick{v, strconv.FormatFloat(v, 'g', 3, 64)})
			}
		}
	}
	return all
}

// span widens a range to the round values around it, so that no curve lies on the frame.
func span(low, high float64, most int) (float64, float64) {
	if low == 0 && high == 0 {
		return 0, 1
	}
	if low == high {
		reach := max(math.Abs(low)/10, 1e-6)
		low, high = low-reach, high+reach
	}
	if step := nice((high - low) / float64(most)); finite(step) && step > 0 {
		return math.Floor(low/step+1e-9) * step, math.Ceil(high/step-1e-9) * step
	}
	return low, high
}

// axes draws the frame with its ticks, and what the axes are.
func (c *canvas) axes(x, y *axis, xs, ys []tick, xName, yName string) {
	for _, t := range ys {
		at := y.at(t.at)
		c.line("grid-line", x.from, at, x.to, at)
		c.text(x.from-6, at+4, "end", "faint", t.text)
	}
	for _, t := range xs {
		at := x.at(t.at)
		c.line("axis", at, y.from, at, y.from+4)
		c.text(at, y.from+16, "middle", "faint", t.text)
	}
	c.line("axis", x.from, y.from, x.to, y.from)
	c.line("axis", x.from, y.from, x.from, y.to)
	c.text((x.from+x.to)/2, y.from+34, "middle", "", xName)
	c.upright(y, yName)
}

// upright writes what the upright axis is.
func (c *canvas) upright(y *axis, name string) {
	middle := (y.from + y.to) / 2
	fmt.Fprintf(c, `<text x="12" y="%s" text-anchor="middle" transform="rotate(-90 12 %s)">%s</text>`, number(middle), number(middle), escape(name))
}

// margin is the room that an upright axis needs at its left.
func margin(ys []tick) float64 {
	most := 0.0
	for _, t := range ys {
		most = max(most, widest(t.text))
	}
	return 20 + most + 8
}

// nothing is the chart of what has no data.
func nothing(title string) *canvas {
	c := begin("chart", title, width, 60)
	c.text(width/2, 34, "middle", "faint", title+": there is nothing to draw yet")
	return c
}
