package train

import (
	"encoding/json"
	"fmt"

	"github.com/cspine/cspine/internal/picture"
	"github.com/cspine/cspine/internal/tensorboard"
	"github.com/cspine/cspine/internal/volume"
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
			scalars = append(scalars, tensorboard.Scalar{Tag: "loss/validation", Value: v.Loss}, tensorboard.Scalar{Tag: "dice/mean", Value: v.Mean},
				tensorboard.Scalar{Tag: "dice/low", Value: v.Interval[0]}, tensorboard.Scalar{Tag: "dice/high", Value: v.Interval[1]})
			for level, d := range v.Dice {
				scalars = append(scalars, tensorboard.Scalar{Tag: "dice/" + volume.LevelName(level), Value: d})
			}
		}
		file = tensorboard.Append(file, e.Time, e.Updates, scalars...)
	}
	return file
}

// Curves draws a history as a PNG: losses, dice and learning rate by epoch.
func Curves(title string, history []Epoch) ([]byte, error) {
	losses := picture.Chart{Y: "loss"}
	dice := picture.Chart{Y: "dice of held-out studies", Low: 0, High: 1}
	rate := picture.Chart{Y: "learning rate", X: "epoch"}
	train, valid := picture.Curve{Name: "training"}, picture.Curve{Name: "held-out studies", Dashed: true}
	mean, norm := picture.Curve{Name: "mean, 95 % interval", Wide: true}, picture.Curve{Name: "learning rate"}
	levels := make([]picture.Curve, Levels)
	for _, e := range history {
		x := float64(e.Epoch)
		train.Add(x, e.Loss)
		norm.Add(x, e.Rate)
		v := e.Validation
		if v == nil {
			continue
		}
		valid.Add(x, v.Loss)
		mean.Add(x, v.Mean)
		mean.Band = append(mean.Band, v.Interval)
		for level, d := range v.Dice {
			levels[level].Add(x, d)
		}
	}
	losses.Curves, rate.Curves = []picture.Curve{train}, []picture.Curve{norm}
	charts := []picture.Chart{losses, rate}
	if len(valid.X) > 0 {
		charts[0].Curves = append(charts[0].Curves, valid)
		for level := range levels {
			levels[level].Name, levels[level].Color = volume.LevelName(level), picture.Palette[level]
		}
		dice.Curves = append(levels, mean)
		charts = []picture.Chart{charts[0], dice, rate}
	}
	return picture.Curves(title, charts)
}
