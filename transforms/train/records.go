package train

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/cspine/cspine/internal/picture"
	"github.com/cspine/cspine/internal/tensorboard"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/score"
)

// The files that record a training.
const (
	LinesFile  = "metrics.jsonl"
	EventsFile = tensorboard.FileName
	CurvesFile = "curves.png"
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

// Curves draws a history as a PNG: losses, what held-out studies are measured by, and learning rate by epoch.
func Curves(title string, history []Epoch) ([]byte, error) {
	losses, rate := picture.Chart{Y: "loss"}, picture.Chart{Y: "learning rate", X: "epoch"}
	train, valid, rates := picture.Curve{Name: "training"}, picture.Curve{Name: "held-out studies", Dashed: true}, picture.Curve{Name: "learning rate"}
	var measured []Epoch
	for _, e := range history {
		x := float64(e.Epoch)
		train.Add(x, e.Loss)
		rates.Add(x, e.Rate)
		if e.Validation != nil {
			valid.Add(x, e.Validation.Loss)
			measured = append(measured, e)
		}
	}
	losses.Curves, rate.Curves = []picture.Curve{train}, []picture.Curve{rates}
	if len(measured) == 0 {
		return picture.Curves(title, []picture.Chart{losses, rate})
	}
	losses.Curves = append(losses.Curves, valid)
	charts := []picture.Chart{losses}
	if measured[0].Validation.ClassifierScore != nil {
		charts = append(charts, classifierCharts(measured)...)
	} else {
		charts = append(charts, segmenterChart(measured))
	}
	return picture.Curves(title, append(charts, rate))
}

func segmenterChart(history []Epoch) picture.Chart {
	mean := picture.Curve{Name: "mean, 95 % interval", Wide: true}
	levels := levelCurves()
	for _, e := range history {
		x, v := float64(e.Epoch), e.Validation
		mean.Add(x, v.Mean)
		mean.Band = append(mean.Band, v.Interval)
		for level, d := range v.Dice {
			levels[level].Add(x, d)
		}
	}
	return picture.Chart{Y: "dice of held-out studies", Low: 0, High: 1, Curves: append(levels, mean)}
}

func classifierCharts(history []Epoch) []picture.Chart {
	loss := picture.Curve{Name: "competition's", Wide: true}
	vertebra, patient := picture.Curve{Name: "vertebrae", Wide: true}, picture.Curve{Name: "patients", Dashed: true}
	levels := levelCurves()
	for _, e := range history {
		x, v := float64(e.Epoch), e.Validation
		addDefined(&loss, x, v.LogLoss)
		addDefined(&vertebra, x, v.VertebraAUC)
		addDefined(&patient, x, v.PatientAUC)
		for level, a := range v.AUC {
			addDefined(&levels[level], x, a)
		}
	}
	return []picture.Chart{{Y: "log loss of held-out studies", Curves: []picture.Curve{loss}},
		{Y: "AUC of held-out studies", Low: 0, High: 1, Curves: append(levels, vertebra, patient)}}
}

// addDefined adds a point, unless it is undefined.
func addDefined(c *picture.Curve, x float64, y score.Figure) {
	if !math.IsNaN(float64(y)) {
		c.Add(x, float64(y))
	}
}

// levelCurves are curves of C1 to C7, without points.
func levelCurves() []picture.Curve {
	curves := make([]picture.Curve, Levels)
	for level := range curves {
		curves[level].Name, curves[level].Color = volume.LevelName(level), picture.Palette[level]
	}
	return curves
}
