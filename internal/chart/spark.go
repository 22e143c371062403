package chart

import (
	"fmt"
	"html/template"
	"strings"
)

// Spark draws probabilities in a row, from 0 at its foot to 1 at its top, small enough for a table: a vertebra's, by slice from head to foot.
// Colour is one of its own, such as #e69f00; "" takes that of its class.
func Spark(values []float64, colour string) template.HTML {
	const width, height, edge = 150, 36, 3
	x := axis{low: 0, high: max(1, float64(len(values)-1)), from: edge, to: width - edge}
	y := axis{low: 0, high: 1, from: height - edge, to: edge}
	l := Line{Colour: colour, Y: values}
	var texts []string
	for i, v := range values {
		l.X = append(l.X, float64(i))
		if finite(v) {
			texts = append(texts, fmt.Sprintf("%.2f", v))
		} else {
			texts = append(texts, "–")
		}
	}
	out := begin("chart spark", "probability of a fracture by slice, head to foot: "+strings.Join(texts, " "), width, height)
	out.line("grid-line", x.from, y.to, x.to, y.to)
	out.line("grid-line", x.from, y.at(0.5), x.to, y.at(0.5))
	out.line("axis", x.from, y.from, x.to, y.from)
	out.curve(&l, &x, &y)
	for i, v := range values {
		if y.has(v) {
			out.dot(l.paint(), x.at(float64(i)), y.at(v), 1.6, fmt.Sprintf("slice %d: %.2f", i+1, v))
		}
	}
	return out.page()
}
