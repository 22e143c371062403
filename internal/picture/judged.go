package picture

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

var (
	black = color.RGBA{A: 0xFF}
	faint = color.RGBA{0xA0, 0xA0, 0xA0, 0xFF}
	bars  = color.RGBA{0xB8, 0xCC, 0xDE, 0xFF}
)

// ROC draws receiver operating characteristics, from (0, 0) to (1, 1), with their names at the right, as a PNG. A curve without points is
// only named.
func ROC(title string, curves []Curve) ([]byte, error) {
	const side, legend = 5.6 * vg.Inch, 2.7 * vg.Inch
	chance := Curve{Name: "chance", X: []float64{0, 1}, Y: []float64{0, 1}, Color: faint, Dashed: true}
	chart := Chart{X: "false positive rate (1 − specificity)", Y: "sensitivity", Low: 0, High: 1, Curves: append([]Curve{chance}, curves...)}
	var names plot.Legend
	p, err := chart.plot(&names)
	if err != nil {
		return nil, fmt.Errorf("picture: ROC: %w", err)
	}
	for _, c := range curves {
		if len(c.X) == 0 {
			names.Add(c.Name)
		}
	}
	p.Title.Text, p.Title.Padding = title, 6
	unit(p)
	canvas := vgimg.New(side+legend, side)
	whole := padded(canvas)
	p.Draw(draw.Crop(whole, 0, -legend, 0, 0))
	names.Draw(draw.Crop(whole, side-6, 0, 0, -30))
	return encode(canvas)
}

// Reliable is a reliability diagram: what came true, by bins of what was said.
type Reliable struct {
	Name string
	// Note stands below the name.
	Note string
	Bins []ReliableBin
}

// ReliableBin is a bin of a reliability diagram. Where N is 0 only its ends are read.
type ReliableBin struct {
	Low, High   float64 // of the probabilities
	N           int
	Mean, Share float64 // probability said, share that came true
	Interval    [2]float64
}

// Reliability draws reliability diagrams beside one another, each above the numbers in its bins, as a PNG.
func Reliability(diagrams []Reliable) ([]byte, error) {
	if len(diagrams) == 0 {
		return nil, fmt.Errorf("picture: no reliability diagram")
	}
	const width, height, counts = 4.6 * vg.Inch, 4.9 * vg.Inch, 1.6 * vg.Inch
	canvas := vgimg.New(vg.Length(len(diagrams))*width, height+counts)
	whole := padded(canvas)
	for i, d := range diagrams {
		upper, err := d.curve()
		if err != nil {
			return nil, fmt.Errorf("picture: reliability of %s: %w", d.Name, err)
		}
		lower, err := d.counts()
		if err != nil {
			return nil, fmt.Errorf("picture: reliability of %s: %w", d.Name, err)
		}
		upper.Title.Text = d.Name
		if d.Note != "" {
			upper.Title.Text += "\n" + d.Note
		}
		left, right := vg.Length(i)*width, vg.Length(i+1-len(diagrams))*width
		column := draw.Crop(whole, left+4, right-8, 0, 0)
		// Both get the same left and right ends, and heights of their own.
		cells := plot.Align([][]*plot.Plot{{upper}, {lower}}, draw.Tiles{Rows: 2, Cols: 1}, column)
		above, below := cells[0][0], cells[1][0]
		above.Min.Y, above.Max.Y = column.Min.Y+counts, column.Max.Y
		below.Min.Y, below.Max.Y = column.Min.Y, column.Min.Y+counts-8
		upper.Draw(above)
		lower.Draw(below)
	}
	return encode(canvas)
}

// curve draws what came true against what was said.
func (d *Reliable) curve() (*plot.Plot, error) {
	chart := Chart{X: "probability", Y: "share fractured", Low: 0, High: 1,
		Curves: []Curve{{Name: "perfect", X: []float64{0, 1}, Y: []float64{0, 1}, Color: faint, Dashed: true}}}
	p, err := chart.plot(&plot.Legend{})
	if err != nil {
		return nil, err
	}
	var means plotter.XYs
	var intervals plotter.YErrors
	for _, b := range d.Bins {
		if b.N == 0 {
			continue
		}
		means = append(means, plotter.XY{X: b.Mean, Y: b.Share})
		intervals = append(intervals, struct{ Low, High float64 }{b.Interval[0] - b.Share, b.Interval[1] - b.Share})
	}
	if len(means) > 0 {
		line, points, err := plotter.NewLinePoints(means)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = Palette[4], vg.Points(1.5)
		points.Color, points.Radius, points.Shape = Palette[4], vg.Points(3), draw.CircleGlyph{}
		reach, err := plotter.NewYErrorBars(struct {
			plotter.XYs
			plotter.YErrors
		}{means, intervals})
		if err != nil {
			return nil, err
		}
		reach.Color, reach.Width = Palette[4], vg.Points(1)
		p.Add(reach, line, points)
	}
	unit(p)
	return p, nil
}

// counts draws how many probabilities are in each bin, on a logarithmic scale: most vertebrae are in the first.
func (d *Reliable) counts() (*plot.Plot, error) {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = "probability", "number"
	most := 1
	var labels plotter.XYLabels
	for _, b := range d.Bins {
		if b.N == 0 {
			continue
		}
		most = max(most, b.N)
		bar, err := plotter.NewPolygon(plotter.XYs{{X: b.Low, Y: 0.5}, {X: b.Low, Y: float64(b.N)}, {X: b.High, Y: float64(b.N)}, {X: b.High, Y: 0.5}})
		if err != nil {
			return nil, err
		}
		bar.Color = bars
		bar.LineStyle.Color = color.White
		p.Add(bar)
		labels.XYs = append(labels.XYs, plotter.XY{X: (b.Low + b.High) / 2, Y: float64(b.N)})
		labels.Labels = append(labels.Labels, strconv.Itoa(b.N))
	}
	if len(labels.Labels) > 0 {
		above, err := plotter.NewLabels(labels)
		if err != nil {
			return nil, err
		}
		for i := range above.TextStyle {
			above.TextStyle[i].XAlign, above.TextStyle[i].YAlign = text.XCenter, text.YBottom
			above.TextStyle[i].Font.Size = vg.Points(9)
		}
		p.Add(above)
	}
	unit(p)
	p.Y.Min, p.Y.Max = 0.5, 4*float64(most)
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.ConstantTicks(powers(most))
	return p, nil
}

// powers are ticks at 1, 10, 100 … up to most.
func powers(most int) []plot.Tick {
	var ticks []plot.Tick
	for v := 1; v <= most; v *= 10 {
		ticks = append(ticks, plot.Tick{Value: float64(v), Label: strconv.Itoa(v)})
	}
	return ticks
}

// Forest is a row of a forest plot: a value and its interval. NaN is undefined.
type Forest struct {
	Name      string
	Note      string // at the right
	Value     float64
	Low, High float64
	Color     color.RGBA
}

// Forests draws values with their intervals below one another, beside a line at mark, as a PNG. axis says what the values are.
func Forests(title, axis string, mark float64, rows []Forest) ([]byte, error) {
	if len(rows) == 0 {
		return nil, fmt.Errorf("picture: no rows of a forest plot")
	}
	const width, notes = 5.2 * vg.Inch, 2.9 * vg.Inch
	height := vg.Length(len(rows))*26 + 90
	p := plot.New()
	p.Title.Text, p.Title.Padding = title, 6
	p.X.Label.Text = axis
	least, most := mark, 1.0
	var ticks []plot.Tick
	var beside plotter.XYLabels
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{0xE0}, color.Transparent
	p.Add(grid)
	for i, r := range rows {
		y := float64(len(rows) - 1 - i)
		ticks = append(ticks, plot.Tick{Value: y, Label: r.Name})
		beside.XYs, beside.Labels = append(beside.XYs, plotter.XY{Y: y}), append(beside.Labels, r.Note)
		if math.IsNaN(r.Value) {
			continue
		}
		if !math.IsNaN(r.Low) && !math.IsNaN(r.High) {
			least, most = min(least, r.Low), max(most, r.High)
			reach, err := plotter.NewLine(plotter.XYs{{X: r.Low, Y: y}, {X: r.High, Y: y}})
			if err != nil {
				return nil, fmt.Errorf("picture: forest plot: %w", err)
			}
			reach.Color, reach.Width = r.shade(), vg.Points(2)
			p.Add(reach)
		}
		least, most = min(least, r.Value), max(most, r.Value)
		dot, err := plotter.NewScatter(plotter.XYs{{X: r.Value, Y: y}})
		if err != nil {
			return nil, fmt.Errorf("picture: forest plot: %w", err)
		}
		dot.Color, dot.Shape, dot.Radius = r.shade(), draw.BoxGlyph{}, vg.Points(4)
		p.Add(dot)
	}
	line, err := plotter.NewLine(plotter.XYs{{X: mark, Y: -0.7}, {X: mark, Y: float64(len(rows)) - 0.3}})
	if err != nil {
		return nil, fmt.Errorf("picture: forest plot: %w", err)
	}
	line.Color, line.Dashes = faint, []vg.Length{vg.Points(5), vg.Points(2)}
	p.Add(line)
	p.X.Min, p.X.Max = math.Floor(least*20-0.5)/20, most+0.01
	p.X.Tick.Marker = everyTenth(p.X.Min, p.X.Max)
	p.Y.Min, p.Y.Max = -0.7, float64(len(rows))-0.3
	p.Y.Tick.Marker, p.Y.Tick.Length, p.Y.LineStyle.Width = plot.ConstantTicks(ticks), 0, 0
	canvas := vgimg.New(width+notes, height)
	whole := padded(canvas)
	cell := draw.Crop(whole, 0, -notes, 0, 0)
	p.Draw(cell)
	// The notes stand where the plot's own rows are, beyond its right edge.
	data := p.DataCanvas(cell)
	_, toY := p.Transforms(&data)
	style := p.Y.Tick.Label
	style.XAlign, style.YAlign = text.XLeft, text.YCenter
	for i, at := range beside.XYs {
		whole.FillText(style, vg.Point{X: cell.Max.X + 8, Y: toY(at.Y)}, beside.Labels[i])
	}
	return encode(canvas)
}

func (f *Forest) shade() color.RGBA {
	if f.Color == (color.RGBA{}) {
		return black
	}
	return f.Color
}

// unit makes both axes of a plot that of probabilities.
func unit(p *plot.Plot) {
	p.X.Min, p.X.Max = 0, 1
	p.Y.Min, p.Y.Max = 0, 1
	p.X.Tick.Marker, p.Y.Tick.Marker = tenths, tenths
}

// everyTenth are ticks at 0.1, 0.2, … within a range.
func everyTenth(least, most float64) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for i := math.Ceil(least * 10); i <= most*10; i++ {
		ticks = append(ticks, plot.Tick{Value: i / 10, Label: strconv.FormatFloat(i/10, 'f', 1, 64)})
	}
	return ticks
}

// tenths are ticks from 0 to 1, every second one named.
var tenths = func() plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for i := range 11 {
		t := plot.Tick{Value: float64(i) / 10}
		if i%2 == 0 {
			t.Label = strconv.FormatFloat(t.Value, 'f', 1, 64)
		}
		ticks = append(ticks, t)
	}
	return ticks
}()

// padded is a canvas without its outermost points.
func padded(c *vgimg.Canvas) draw.Canvas { return draw.Crop(draw.New(c), 6, -6, 6, -6) }

func encode(c *vgimg.Canvas) ([]byte, error) {
	var out bytes.Buffer
	_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(&out)
	return out.Bytes(), err
}
