package gorgonia

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/nets"
)

// Against PyTorch: bench/train_versus.py. These say where a step's time goes: ms of each kind of operation, and the arena's MiB.
//
//	go test -run xxx -bench Training -benchtime 5x ./models/gorgonia

func BenchmarkTraining(b *testing.B) {
	for _, c := range []struct {
		network nets.Network
		options nets.Options
		batch   int
	}{
		{nets.Networks[0], nets.Options{Size: 128, Channels: 1}, 1},
		{nets.Networks[1], nets.Options{Size: 64, Channels: 3, Blocks: 5}, 1},
		{nets.Networks[1], nets.Options{Size: 64, Channels: 3, Blocks: 5}, 2},
	} {
		b.Run(fmt.Sprintf("%s/%d/batch%d", c.network.Name, c.options.Size, c.batch), func(b *testing.B) {
			model, err := c.network.Build(c.options, 1)
			if err != nil {
				b.Fatal(err)
			}
			n := c.options.Size * c.options.Size * c.options.Size
			t, err := New().CompileTraining(b.Context(), model, models.TrainingOptions{
				InputShapes: [][]int{{c.batch, c.options.Channels, c.options.Size, c.options.Size, c.options.Size}},
				Loss:        models.Loss{Terms: []models.LossTerm{{Output: "probability", Kind: models.Dice, Weight: 1, Smooth: 1}}},
			})
			if err != nil {
				b.Fatal(err)
			}
			batch := models.Batch{Inputs: [][]float32{make([]float32, c.batch*c.options.Channels*n)}, Targets: [][]float32{make([]float32, 7*c.batch*n)}}
			for i := range batch.Inputs[0] {
				batch.Inputs[0][i] = float32(i%251) / 251
			}
			for i := range batch.Targets[0] {
				batch.Targets[0][i] = float32(i / 1000 % 9 / 8)
			}
			report := timed(t.(*trainer).train)
			for b.Loop() {
				if _, err := t.Gradients(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
				if _, err := t.Update(b.Context(), 1e-4); err != nil {
					b.Fatal(err)
				}
			}
			report(b)
		})
	}
}

// A step of a classifier of type 1.
func BenchmarkClassifier(b *testing.B) {
	const batch, size = 8, 112
	model, err := nets.Classifier{}.Build(1)
	if err != nil {
		b.Fatal(err)
	}
	t, err := New().CompileTraining(b.Context(), model, models.TrainingOptions{
		InputShapes: [][]int{{batch, 15, 6, size, size}},
		Loss:        models.Loss{Terms: []models.LossTerm{{Output: "slices", Kind: models.BCE, Weight: 1}}},
	})
	if err != nil {
		b.Fatal(err)
	}
	crops := make([]float32, batch*15*6*size*size)
	for i := range crops {
		crops[i] = float32(i%251) / 251
	}
	targets := make([]float32, batch*15)
	report := timed(t.(*trainer).train)
	for b.Loop() {
		if _, err := t.Gradients(b.Context(), models.Batch{Inputs: [][]float32{crops}, Targets: [][]float32{targets}}); err != nil {
			b.Fatal(err)
		}
		if _, err := t.Update(b.Context(), 1e-4); err != nil {
			b.Fatal(err)
		}
	}
	report(b)
}

func BenchmarkInference(b *testing.B) {
	for _, net := range nets.Networks[:2] {
		b.Run(net.Name, func(b *testing.B) {
			model, err := net.Build(nets.Options{Size: 128}, 1)
			if err != nil {
				b.Fatal(err)
			}
			n, err := New().Compile(b.Context(), model, nil)
			if err != nil {
				b.Fatal(err)
			}
			in, out := make([]float32, n.Inputs()[0].Len()), make([]float32, n.Outputs()[0].Len())
			m := <-n.(*network).streams
			n.(*network).streams <- m
			report := timed(m)
			for b.Loop() {
				if err := n.Infer(b.Context(), [][]float32{in}, [][]float32{out}); err != nil {
					b.Fatal(err)
				}
			}
			report(b)
		})
	}
}

// timed times a machine's steps from now on.
func timed(m *machine) (report func(*testing.B)) {
	spent := map[string]time.Duration{}
	for _, s := range m.plan.steps {
		run, kind := s.kernel, strings.Fields(s.name)[0]
		if strings.Contains(s.name, "gradient") || strings.Contains(s.name, " by ") {
			kind += "-gradient"
		}
		s.kernel = func(x *exec, out, in [][]float32) error {
			start := time.Now()
			err := run(x, out, in)
			spent[kind] += time.Since(start)
			return err
		}
	}
	return func(b *testing.B) {
		for kind, t := range spent {
			b.ReportMetric(t.Seconds()*1000/float64(b.N), kind+"-ms")
		}
		b.ReportMetric(float64(m.plan.bytes()>>20), "MiB")
	}
}
