package train

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/cspine/cspine/internal/chart"
	"github.com/cspine/cspine/internal/picture"
	"github.com/cspine/cspine/internal/tensorboard"
	"github.com/cspine/cspine/internal/volume"
)

// The files that record a training.
const (
	LinesFile  = "metrics.jsonl"
	EventsFile = tensorboard.FileName
	CurvesFile = "curves.svg"
)

// Lines returns a history as JSON lines, one for each epoch.
func Lines(history []Epoch) ([]byte, error) {
	var out []byte
	for _, e := range history {
		line, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("train: metrics of epoch %d: %w", e.Epoch, err)
		}
		out = append(append(out, line...), '\n')
	}
	return out, nil
}

// ReadLines reads what Lines wrote.
func ReadLines(file []byte) ([]Epoch, error) {
	var history []Epoch
	for i, line := range splitLines(file) {
		var e Epoch
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("train: metrics, line %d: %w", i+1, err)
		}
		history = append(history, e)
	}
	return history, nil
}

func splitLines(file []byte) (lines [][]byte) {
	start := 0
	for i, b := range file {
		if b == '\n' {
			lines = append(lines, file[start:i])
			start = i + 1
		}
	}
	return lines
}

// Events returns a history as a TensorBoard event file. Steps are updates. A longer history's file begins with a shorter one's.
func Events(history []Epoch) []byte {
	if len(history) == 0 {
		return nil
	}
	file := tensorboard.AppendStart(nil, history[0].Time)
	for _, e := range history {
		scalars := []tensorboard.Scalar{{Tag: "loss/train", Value: e.Loss}, {Tag: "learning_rate", Value: e.Rate}, {Tag: "epoch", Value: float64(e.Epoch)}}
		if e.Norm > 0 {
			scalars = append(scalars, tensorboard.Scalar{Tag: "gradient_norm", Value: e.Norm})
		}
		if v := e.Validation; v != nil {
			scalars = append(append(scalars, tensorboard.Scalar{Tag: "loss/validation", Value: v.Loss}), v.scalars()...)
		}
		file = tensorboard.Append(file, e.Time, e.Updates, scalars...)
	}
	return file
}

// scalars are what TensorBoard shows of a validation besides the loss. What is undefined is left out.
func (v *Validation) scalars() (all []tensorboard.Scalar) {
	add := func(tag string, value float64) {
		if !math.IsNaN(value) {
			all = append(all, tensorboard.Scalar{Tag: tag, Value: value})
		}
	}
	if c := v.ClassifierScore; c != nil {
		add("log_loss", float64(c.LogLoss))
		add("auc/vertebra", float64(c.VertebraAUC))
		add("auc/patient", float64(c.PatientAUC))
		for level, a := range c.AUC {
			add("auc/"+volume.LevelName(level), float64(a))
		}
		return all
	}
	add("dice/mean", v.Mean)
	add("dice/low", v.Interval[0])
	add("dice/high", v.Interval[1])
	for level, d := range v.Dice {
		add("dice/"+volume.LevelName(level), d)
	}
	return all
}

// Curves draws a training's history by epoch, as an SVG.
func Curves(name string, history []Epoch) []byte {
	var rows [][]chart.Chart
	for _, c := range Charts(name, history) {
		rows = append(rows, []chart.Chart{c})
	}
	return chart.File("Training "+name, rows...)
}

// Charts draws a training's history: losses, learning rate and what held-out studies are measured by. There is nothing to draw of no epochs.
func Charts(name string, history []Epoch) (charts []chart.Lines) {
	if len(history) == 0 {
		return nil
	}
	add := func(what, y string, c chart.Lines) {
		c.Title, c.X, c.Y, c.WholeX = what+" of "+name+" by epoch", "epoch", y, true
		charts = append(charts, c)
	}
	learned, held, rate := chart.Line{Name: "training"}, chart.Line{Name: "held-out studies", Dashed: true}, chart.Line{Name: "learning rate"}
	var measured []Epoch
	for _, e := range history {
		x := float64(e.Epoch)
		learned.Add(x, e.Loss)
		rate.Add(x, e.Rate)
		if e.Measured() {
			held.Add(x, e.Validation.Loss)
			measured = append(measured, e)
		}
	}
	losses := []chart.Line{learned}
	if len(measured) > 0 {
		losses = append(losses, held)
	}
	add("Loss", "loss, as it is trained for", chart.Lines{Lines: losses})
	switch {
	case len(measured) == 0:
	case measured[0].Validation.ClassifierScore == nil:
		add("Dice", "dice of held-out studies", diceChart(measured))
	default:
		loss := chart.Line{Name: "log loss"}
		for _, e := range measured {
			loss.Add(float64(e.Epoch), float64(e.Validation.LogLoss))
		}
		add("Log loss", "log loss, held-out studies", chart.Lines{Lines: []chart.Line{loss}})
		add("AUC", "AUC, held-out studies", areaChart(measured))
	}
	add("Learning rate", "learning rate (logarithmic)", chart.Lines{Lines: []chart.Line{rate}, LogY: true})
	return charts
}

// diceChart draws how well a segmenter does, by level and in the mean.
func diceChart(measured []Epoch) chart.Lines {
	levels, mean := levelLines(), chart.Line{Name: "mean, 95 %", Colour: chart.TextColour, Wide: true}
	for _, e := range measured {
		x, v := float64(e.Epoch), e.Validation
		mean.Add(x, v.Mean)
		mean.Low, mean.High = append(mean.Low, v.Interval[0]), append(mean.High, v.Interval[1])
		for level, d := range v.Dice {
			levels[level].Add(x, d)
		}
	}
	return chart.Lines{Lines: append(levels, mean), YRange: [2]float64{0, 1}}
}

// areaChart draws how well a classifier does, by level, for all vertebrae and for patients.
func areaChart(measured []Epoch) chart.Lines {
	levels := levelLines()
	vertebrae := chart.Line{Name: "vertebrae", Colour: chart.TextColour, Wide: true}
	patients := chart.Line{Name: "patients", Colour: chart.TextColour, Wide: true, Dashed: true}
	for _, e := range measured {
		x, v := float64(e.Epoch), e.Validation
		vertebrae.Add(x, float64(v.VertebraAUC))
		patients.Add(x, float64(v.PatientAUC))
		for level, a := range v.AUC {
			levels[level].Add(x, float64(a))
		}
	}
	return chart.Lines{Lines: append(levels, vertebrae, patients), YRange: [2]float64{0, 1}}
}

// levelLines are curves of C1 to C7, without points.
func levelLines() []chart.Line {
	lines := make([]chart.Line, Levels)
	for level := range lines {
		lines[level].Name, lines[level].Colour = volume.LevelName(level), picture.Hex(level)
	}
	return lines
}
