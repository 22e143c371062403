package picture

import (
	"bytes"
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Chart is one set of axes.
type Chart struct {
	X, Y string // what the axes show
	// Low and High are the ends of the upright axis; where they are equal the values decide.
	Low, High float64
	Curves    []Curve
}

// Curve is one line of a chart.
type Curve struct {
	Name string
	X, Y []float64
	// Band has the lower and upper ends of a shaded band, by point; nil for none.
	Band [][2]float64
	// Color is the line's. The zero value takes black, and blue for a dashed line.
	Color        color.RGBA
	Dashed, Wide bool
}

// Add adds a point.
func (c *Curve) Add(x, y float64) { c.X, c.Y = append(c.X, x), append(c.Y, y) }

func (c *Curve) points() plotter.XYs {
	p := make(plotter.XYs, len(c.X))
	for i := range p {
		p[i] = plotter.XY{X: c.X[i], Y: c.Y[i]}
	}
	return p
}

// Curves draws charts below one another, with one horizontal range and legends at their right, as a PNG.
func Curves(title string, charts []Chart) ([]byte, error) {
	const width, height, legend = 9 * vg.Inch, 3 * vg.Inch, 1.9 * vg.Inch // of a chart, and of the legend in it
	if len(charts) == 0 {
		return nil, fmt.Errorf("picture: no curves")
	}
	plots := make([][]*plot.Plot, len(charts))
	legends := make([]plot.Legend, len(charts))
	for i, c := range charts {
		p, err := c.plot(&legends[i])
		if err != nil {
			return nil, fmt.Errorf("picture: curves of %s: %w", c.Y, err)
		}
		if i == 0 {
			p.Title.Text = title
		}
		plots[i] = []*plot.Plot{p}
		plots[0][0].X.Min, plots[0][0].X.Max = min(plots[0][0].X.Min, p.X.Min), max(plots[0][0].X.Max, p.X.Max)
	}
	canvas := vgimg.New(width, vg.Length(len(charts))*height)
	tiles := draw.Tiles{Rows: len(charts), Cols: 1, PadTop: 6, PadBottom: 6, PadLeft: 6, PadRight: 6, PadY: 10}
	whole := draw.New(canvas)
	cells := plot.Align(plots, tiles, draw.Crop(whole, 0, -legend, 0, 0))
	for i := range plots {
		p, cell := plots[i][0], cells[i][0]
		p.X.Min, p.X.Max = plots[0][0].X.Min, plots[0][0].X.Max
		p.Draw(cell)
		beside := whole
		beside.Rectangle = vg.Rectangle{Min: vg.Point{X: cell.Max.X + 6, Y: cell.Min.Y}, Max: vg.Point{X: whole.Max.X - 6, Y: cell.Max.Y - 12}}
		legends[i].Draw(beside)
	}
	var out bytes.Buffer
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(&out)
	return out.Bytes(), err
}

// plot makes the chart, and the legend that stands beside it.
func (c *Chart) plot(legend *plot.Legend) (*plot.Plot, error) {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = c.X, c.Y
	*legend = plot.NewLegend()
	legend.Top, legend.Left = true, true
	legend.Padding = 2
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{0xE0}, color.Gray{0xE0}
	p.Add(grid)
	for _, curve := range c.Curves {
		if len(curve.X) == 0 {
			continue
		}
		if err := curve.draw(p, legend); err != nil {
			return nil, err
		}
	}
	if c.Low != c.High {
		p.Y.Min, p.Y.Max = c.Low, c.High
	}
	return p, nil
}

// draw adds a curve to a plot and its legend.
func (c *Curve) draw(p *plot.Plot, legend *plot.Legend) error {
	shade := c.Color
	switch {
	case shade != color.RGBA{}:
	case c.Dashed:
		shade = color.RGBA{0x00, 0x72, 0xB2, 0xFF}
	default:
		shade = color.RGBA{A: 0xFF}
	}
	if len(c.Band) == len(c.X) && len(c.Band) > 1 {
		outline := make(plotter.XYs, 0, 2*len(c.X))
		for i, b := range c.Band {
			outline = append(outline, plotter.XY{X: c.X[i], Y: b[0]})
		}
		for i := len(c.Band) - 1; i >= 0; i-- {
			outline = append(outline, plotter.XY{X: c.X[i], Y: c.Band[i][1]})
		}
		band, err := plotter.NewPolygon(outline)
		if err != nil {
			return err
		}
		band.Color, band.LineStyle.Width = color.NRGBA{shade.R, shade.G, shade.B, 0x30}, 0
		p.Add(band)
	}
	line, points, err := plotter.NewLinePoints(c.points())
	if err != nil {
		return err
	}
	line.Color, line.Width = shade, vg.Points(1)
	if c.Wide {
		line.Width = vg.Points(2)
	}
	if c.Dashed {
		line.Dashes = []vg.Length{vg.Points(5), vg.Points(2)}
	}
	p.Add(line)
	if len(c.X) == 1 { // a line of one point can't be seen
		points.Color, points.Radius = shade, vg.Points(2)
		p.Add(points)
	}
	legend.Add(c.Name, line)
	return nil
}
