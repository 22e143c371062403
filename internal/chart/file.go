package chart

import (
	"bytes"
	"fmt"
)

// File is an SVG that stands by itself: rows of charts, from the top. Whatever it is shown in says whether it is light or dark.
func File(title string, rows ...[]Chart) []byte {
	const enlarged, gap, edge = 1.5, 14, 10
	drawn := make([][]*canvas, len(rows))
	heights := make([]float64, len(rows))
	var widths []float64 // of columns
	w, h := float64(2*edge), float64(edge)
	for i, row := range rows {
		for k, chart := range row {
			c := chart.draw()
			if k == len(widths) {
				widths = append(widths, 0)
			}
			drawn[i], widths[k], heights[i] = append(drawn[i], c), max(widths[k], c.width), max(heights[i], c.height)
		}
		h += heights[i] + gap
	}
	h = max(h-gap, 0) + edge
	for k, width := range widths {
		w += width + gap*float64(min(k, 1))
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 %s %s" width="%s" height="%s"><title>%s</title><style>%s</style>`+
		`<rect class="page" width="100%%" height="100%%"/>`+"\n", number(w), number(h), number(enlarged*w), number(enlarged*h), escape(title), fileStyle())
	y := float64(edge)
	for i, row := range drawn {
		x := float64(edge)
		for k, c := range row {
			c.write(&out, x, y)
			out.WriteByte('\n')
			x += widths[k] + gap
		}
		y += heights[i] + gap
	}
	out.WriteString("</svg>\n")
	return out.Bytes()
}
