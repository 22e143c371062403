package chart

import (
	"encoding/xml"
	"errors"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// element is a part of an SVG.
type element struct {
	name       string
	attributes map[string]string
	text       string
}

// elements reads an SVG as strictly as XML is read.
func elements(t *testing.T, svg template.HTML) (all []element) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	var open []int
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := element{name: token.Name.Local, attributes: map[string]string{}}
			for _, a := range token.Attr {
				e.attributes[a.Name.Local] = a.Value
			}
			open, all = append(open, len(all)), append(all, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				all[open[len(open)-1]].text += string(token)
			}
		}
	}
	if len(all) < 2 || all[0].name != "svg" || all[1].name != "title" || all[1].text == "" {
		t.Errorf("no SVG with a title: %.200s", svg)
	}
	for _, e := range all {
		for name, value := range e.attributes {
			if name == "style" || strings.HasPrefix(name, "on") || e.name == "script" {
				t.Errorf("<%s> has %s, which pages forbid", e.name, name)
			}
			if strings.Contains(value, "NaN") || strings.Contains(value, "Inf") {
				t.Errorf("<%s> has %s=%q", e.name, name, value)
			}
		}
	}
	return all
}

// of returns the elements of a name that have an attribute's value.
func of(all []element, name, attribute, value string) (found []element) {
	for _, e := range all {
		if e.name == name && e.attributes[attribute] == value {
			found = append(found, e)
		}
	}
	return found
}

// texts are what is written in a chart.
func texts(all []element) (list []string) {
	for _, e := range all {
		if e.name == "text" {
			list = append(list, e.text)
		}
	}
	return list
}

func has(t *testing.T, all []element, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !slices.Contains(texts(all), want) {
			t.Errorf("%q is not written among %q", want, texts(all))
		}
	}
}

const nasty = "<b>\"A\" & 'B'</b>\x00\x1b\xff]]>\uFFFE"

func TestChartsOfAnyNamesAndNumbersAreWellFormed(t *testing.T) {
	values := []float64{1, math.NaN(), math.Inf(1), -3, 0, math.Inf(-1), 1e300, -1e300, 5e-324}
	line := Line{Name: nasty, X: values, Y: values, Low: values, High: values, Colour: `"/><script>`}
	for _, l := range [][]Line{nil, {{}}, {line}, {line, {Name: nasty, X: []float64{1, 2}, Y: []float64{1}, Dashed: true, Points: true}}} {
		for _, log := range []bool{false, true} {
			elements(t, Lines{Title: nasty, X: nasty, Y: nasty, Lines: l, LogY: log, Square: log, WholeX: log}.SVG())
		}
	}
	for _, b := range []Bars{{}, {Labels: []string{nasty}}, {Labels: []string{nasty, "b"}, Series: []Series{{Name: nasty, Values: values}, {Name: "b", Values: []float64{2}}}},
		{Edges: []float64{0, 1}, Series: []Series{{Values: []float64{3}}}}, {Edges: []float64{0, 1, 2}, Series: []Series{{Values: []float64{3}}}},
		{Series: []Series{{Values: []float64{1, 2}}}, Groups: []Group{{nasty, 1}, {"b", 1}}, Beside: true}} {
		b.Title, b.X, b.Y = nasty, nasty, nasty
		elements(t, b.SVG())
	}
	for _, v := range values {
		elements(t, Intervals{Title: nasty, X: nasty, Rows: []Interval{{Name: nasty, Value: v, Low: v, High: 1, Colour: nasty, Note: nasty}}}.SVG())
	}
	elements(t, Intervals{Title: nasty}.SVG())
	for _, v := range [][]float64{nil, {0.5}, values} {
		elements(t, Spark(v, nasty))
	}
}

func TestNamesAreEscaped(t *testing.T) {
	all := elements(t, Lines{Title: nasty, X: "x", Y: "y", Lines: []Line{{Name: nasty, X: []float64{0, 1}, Y: []float64{0, 1}}, {Name: "b", X: []float64{0}, Y: []float64{1}}}}.SVG())
	has(t, all, "<b>\"A\" & 'B'</b>]]>")
	for _, e := range all {
		if e.name == "b" || e.name == "script" {
			t.Errorf("a name became <%s>", e.name)
		}
	}
}

func TestTicksAreRound(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		most      int
		whole     bool
		want      string
	}{
		{0, 1, 5, false, "0 0.2 0.4 0.6 0.8 1.0"}, {0, 100, 5, false, "0 20 40 60 80 100"}, {1, 3, 8, true, "1 2 3"}, {0.31, 0.69, 5, false, "0.4 0.5 0.6"},
		{-1, 1, 5, false, "-1.0 -0.5 0 0.5 1.0"}, {0, 3e-5, 3, false, "0 1e-05 2e-05 3e-05"}, {7, 7, 5, false, "7"}, {2, 1, 5, false, ""},
		{math.NaN(), 1, 5, false, ""}, {-math.MaxFloat64, math.MaxFloat64, 5, false, ""}, {0, 5e-324, 5, false, ""},
	} {
		var got []string
		for _, tick := range ticks(c.low, c.high, c.most, c.whole) {
			got = append(got, tick.text)
			if v, err := strconv.ParseFloat(tick.text, 64); err != nil || math.Abs(v-tick.at) > 1e-9*math.Abs(tick.at) {
				t.Errorf("%q stands at %g", tick.text, tick.at)
			}
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%g to %g: %q, want %q", c.low, c.high, text, c.want)
		}
	}
	var got []string
	for _, tick := range logTicks(3e-5, 3e-3) {
		got = append(got, tick.text)
	}
	if diff := cmp.Diff([]string{"0.0001", "0.001"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestALineLiesWhereItsValuesAre(t *testing.T) {
	c := Lines{Title: "t", X: "epoch", Y: "loss, nats", XRange: [2]float64{0, 10}, YRange: [2]float64{0, 1}, Lines: []Line{{Name: "a", X: []float64{0, 5, 10}, Y: []float64{0, 1, 0.5}},
		{Name: "b", X: []float64{0, 1, 2, 3, 4}, Y: []float64{0, 0.2, math.NaN(), 0.3, 0.4}, Dashed: true}}}
	all := elements(t, c.SVG())
	has(t, all, "epoch", "loss, nats", "a", "b", "0.2", "10")
	axes := of(all, "line", "class", "axis")
	across, up := axes[len(axes)-2].attributes, axes[len(axes)-1].attributes
	lines := of(all, "path", "class", "series")
	want := "M" + across["x1"] + " " + across["y1"] + "L"
	if d := lines[0].attributes["d"]; !strings.HasPrefix(d, want) || !strings.Contains(d, " "+up["y2"]+"L"+across["x2"]+" ") {
		t.Errorf("the curve is %s, the axes are %v and %v", d, across, up)
	}
	if got := len(of(all, "path", "class", "other")); got != 3 { // two pieces and the legend's
		t.Errorf("a broken curve has %d pieces", got)
	}
}

func TestWhatIsAllZeroLiesOnTheAxis(t *testing.T) {
	all := elements(t, Lines{Title: "t", X: "x", Y: "dice", Lines: []Line{{X: []float64{1, 2}, Y: []float64{0, 0}}}}.SVG())
	has(t, all, "0", "0.2", "1.0")
}

func TestOneEpochIsSeen(t *testing.T) {
	all := elements(t, Lines{Title: "t", X: "x", Y: "y", Lines: []Line{{X: []float64{1}, Y: []float64{0.7}}}}.SVG())
	if len(of(all, "circle", "class", "bar")) != 1 {
		t.Error("a curve of one point has none")
	}
}

func TestLogarithmsLeaveOutWhatHasNone(t *testing.T) {
	all := elements(t, Lines{Title: "t", X: "x", Y: "y", LogY: true, Lines: []Line{{X: []float64{0, 1, 2, 3}, Y: []float64{0, 1, 10, 100}}}}.SVG())
	has(t, all, "1", "10", "100")
	var places []float64
	for _, e := range of(all, "line", "class", "grid-line") {
		v, _ := strconv.ParseFloat(e.attributes["y1"], 64)
		places = append(places, v)
	}
	if len(places) < 3 {
		t.Fatalf("%v", places)
	}
	d := of(all, "path", "class", "series")[0].attributes["d"]
	if strings.Count(d, "L") != 2 {
		t.Errorf("%s is not of three points", d)
	}
}

func TestIntervalsOfACurveAreABandOrWhiskers(t *testing.T) {
	l := Line{Name: "a", X: []float64{0, 1}, Y: []float64{0.5, 0.6}, Low: []float64{0.4, 0.5}, High: []float64{0.6, 0.9}}
	if all := elements(t, Lines{Title: "t", Lines: []Line{l}}.SVG()); len(of(all, "path", "class", "band")) != 1 {
		t.Error("there is no band")
	}
	l.Points = true
	all := elements(t, Lines{Title: "t", Lines: []Line{l}, Square: true}.SVG())
	if len(of(all, "path", "class", "band")) != 0 || len(of(all, "path", "class", "series")) != 3 || len(of(all, "line", "class", "ideal")) != 1 {
		t.Error("there are no whiskers, or no diagonal")
	}
}

func TestStackedBarsStandOnEachOther(t *testing.T) {
	b := Bars{Title: "t", X: "fold", Y: "vertebrae", Labels: []string{"0", "1"}, Groups: []Group{{"C1", 2}},
		Series: []Series{{"intact", []float64{8, 6}}, {"fractured", []float64{2, 4}}}}
	all := elements(t, b.SVG())
	has(t, all, "fold", "vertebrae", "C1", "intact", "fractured", "0", "1")
	at := func(class string, i int, side string) float64 {
		v, err := strconv.ParseFloat(of(all, "rect", "class", class)[i].attributes[side], 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for i, want := range []float64{4, 1.5} {
		if got := at("bar", i, "height") / at("bar-other", i, "height"); math.Abs(got-want) > 0.01 {
			t.Errorf("bar %d: %g times as high, want %g", i, got, want)
		}
		if foot := at("bar-other", i, "y") + at("bar-other", i, "height"); math.Abs(foot-at("bar", i, "y")) > 0.02 {
			t.Errorf("bar %d does not stand on the other", i)
		}
	}
	var said []string
	for _, e := range all {
		if e.name == "title" {
			said = append(said, e.text)
		}
	}
	if !slices.Contains(said, "C1, fold 1, fractured: 4") {
		t.Errorf("%q", said)
	}
	b.Beside = true
	all = elements(t, b.SVG())
	if a, z := at("bar", 0, "x")+at("bar", 0, "width"), at("bar-other", 0, "x"); math.Abs(a-z) > 0.02 {
		t.Errorf("bars beside each other end at %g and begin at %g", a, z)
	}
}

func TestBinsCountEveryValueOnce(t *testing.T) {
	for _, c := range []struct {
		values        []float64
		edges, counts []float64
	}{
		{nil, nil, nil},
		{[]float64{math.NaN(), math.Inf(1)}, nil, nil},
		{[]float64{2, 2, math.NaN()}, []float64{1.9, 2.1}, []float64{2}},
		{[]float64{0, 0.1, 0.2, 0.3, 0.9, 1}, []float64{0, 0.2, 0.4, 0.6, 0.8, 1, 1.2}, []float64{2, 2, 0, 0, 1, 1}},
		{[]float64{-5, 5}, []float64{-6, -4, -2, 0, 2, 4, 6}, []float64{1, 0, 0, 0, 0, 1}},
	} {
		edges, counts := Bins(c.values, 5)
		close := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })
		if diff := cmp.Diff([][]float64{c.edges, c.counts}, [][]float64{edges, counts}, close); diff != "" {
			t.Errorf("%v: %s", c.values, diff)
		}
	}
}

func TestIntervalsHaveTheirColourBesideTheirName(t *testing.T) {
	all := elements(t, Intervals{Title: "t", X: "area, 95 % interval", Range: [2]float64{0, 1}, Reference: 0.5, Rows: []Interval{
		{Name: "C1", Value: 0.8, Low: 0.7, High: 0.9, Colour: "#e69f00", Note: "0.800 [0.700, 0.900]"}, {Name: "C2", Value: math.NaN(), Low: math.NaN(), High: math.NaN(), Note: "one class only"}}}.SVG())
	if over := math.Nextafter(1, 2); len(of(elements(t, Intervals{Range: [2]float64{0, 1}, Title: "t", Rows: []Interval{{Value: over, Low: 0.5, High: over}}}.SVG()), "circle", "class", "bar")) != 1 {
		t.Error("an area of 1 that was rounded up is not drawn")
	}
	has(t, all, "C1", "C2", "0.800 [0.700, 0.900]", "one class only", "area, 95 % interval", "0.2")
	if len(of(all, "rect", "fill", "#e69f00")) != 1 || len(of(all, "path", "stroke", "#e69f00")) != 1 || len(of(all, "circle", "fill", "#e69f00")) != 1 {
		t.Error("the colour is not at name, interval and value")
	}
	if n := len(of(all, "circle", "class", "bar")); n != 0 {
		t.Error("what is undefined is drawn")
	}
}

func TestASparkHasAPointForEverySlice(t *testing.T) {
	values := make([]float64, 15)
	for i := range values {
		values[i] = float64(i) / 14
	}
	all := elements(t, Spark(values, "#0072b2"))
	points := of(all, "circle", "fill", "#0072b2")
	if len(points) != 15 || points[0].attributes["cy"] <= points[14].attributes["cy"] || all[0].attributes["width"] != "150" || all[0].attributes["height"] != "36" {
		t.Errorf("%d points of %v to %v", len(points), points[0], points[len(points)-1])
	}
}

func TestAChartOfNothingSaysSo(t *testing.T) {
	for _, svg := range []template.HTML{Lines{Title: "Loss"}.SVG(), Bars{Title: "Loss"}.SVG(), Intervals{Title: "Loss"}.SVG()} {
		has(t, elements(t, svg), "Loss: there is nothing to draw yet")
	}
}

func TestCountsAreDrawnByTheirLogarithms(t *testing.T) {
	all := elements(t, Bars{Title: "t", X: "probability", Y: "number", LogY: true, Written: true, Edges: []float64{0, 0.1, 0.2, 0.3}, Series: []Series{{Values: []float64{1000, 0, 10}}}}.SVG())
	has(t, all, "1000", "10", "100")
	bars := of(all, "rect", "class", "bar")
	if len(bars) != 2 {
		t.Fatalf("%d bars", len(bars))
	}
	var heights, feet []float64
	for _, b := range bars {
		h, _ := strconv.ParseFloat(b.attributes["height"], 64)
		y, _ := strconv.ParseFloat(b.attributes["y"], 64)
		heights, feet = append(heights, h), append(feet, h+y)
	}
	// The foot is at one half: log 2000 and log 20.
	if got, want := heights[0]/heights[1], math.Log(2000)/math.Log(20); math.Abs(got-want) > 0.01 || math.Abs(feet[0]-feet[1]) > 0.02 {
		t.Errorf("the bars are %v high and stand at %v, want %g times as high", heights, feet, want)
	}
}

func TestAFileStandsByItself(t *testing.T) {
	line := Lines{Title: "first", X: "x", Y: "y", Lines: []Line{{X: []float64{0, 1}, Y: []float64{0, 1}}}}
	bars := Bars{Title: "second", X: "x", Y: "y", Labels: []string{"a"}, Series: []Series{{Values: []float64{1}}}}
	rows := Intervals{Title: "third", Rows: []Interval{{Name: "a", Value: 1}}}
	file := File("all & more", []Chart{line, bars}, []Chart{rows})
	if got, again := string(file), string(File("all & more", []Chart{line, bars}, []Chart{rows})); got != again {
		t.Error("equal charts give different files")
	}
	all := elements(t, template.HTML(file))
	has(t, all, "first", "second", "third")
	if all[0].attributes["xmlns"] != "http://www.w3.org/2000/svg" || all[1].text != "all & more" {
		t.Errorf("%v", all[0].attributes)
	}
	for _, e := range all {
		if text := e.text; e.name == "style" && (strings.Contains(text, "var(") || strings.Contains(text, "url(") || !strings.Contains(text, ".grid-line")) {
			t.Error("the style asks for what is not in the file: " + text)
		}
	}
	type box struct{ x, y, w, h float64 }
	var boxes []box
	for _, e := range of(all, "svg", "class", "chart") {
		var v [4]float64
		for i, name := range []string{"x", "y", "width", "height"} {
			v[i], _ = strconv.ParseFloat(e.attributes[name], 64)
		}
		boxes = append(boxes, box{v[0], v[1], v[2], v[3]})
	}
	if len(boxes) != 3 || boxes[1].x < boxes[0].x+boxes[0].w || boxes[2].y < max(boxes[0].y+boxes[0].h, boxes[1].y+boxes[1].h) {
		t.Errorf("charts lie on each other: %v", boxes)
	}
	var within [4]float64
	for i, field := range strings.Fields(all[0].attributes["viewBox"]) {
		within[i], _ = strconv.ParseFloat(field, 64)
	}
	for _, b := range boxes {
		if b.x+b.w > within[2] || b.y+b.h > within[3] {
			t.Errorf("%v is not within %v", b, within)
		}
	}
	elements(t, template.HTML(File("nothing")))
}

func FuzzAnyLineIsWellFormed(f *testing.F) {
	f.Add("name", 0.0, 1.0, -5.0, true)
	f.Add(nasty, math.NaN(), 1e308, -1e308, false)
	f.Fuzz(func(t *testing.T, name string, a, b, c float64, log bool) {
		l := Line{Name: name, X: []float64{a, b, c}, Y: []float64{c, a, b}, Low: []float64{b, c, a}, High: []float64{a, a, a}}
		elements(t, Lines{Title: "t" + name, X: name, Y: name, Lines: []Line{l, l}, LogY: log}.SVG())
		edges, counts := Bins(l.X, 10)
		elements(t, Bars{Title: "t", Edges: edges, Series: []Series{{Name: name, Values: counts}}}.SVG())
		elements(t, Spark(l.X, ""))
		elements(t, Intervals{Title: "t", Rows: []Interval{{Name: name, Value: a, Low: b, High: c}}}.SVG())
	})
}
