//go:build unix

// Command trainstep does steps of training or inference on request, for benchmarks that alternate with another program
// (bench/train_versus.py, bench/follow_torch.py). It reads JSON lines from standard input and answers each with one: a
// configuration first, then requests.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/gorgonia"
	"github.com/cspine/cspine/models/openvino"
	"github.com/cspine/cspine/models/xla"
)

type configuration struct {
	Model     string // an ONNX file
	Engine    string
	Threads   int
	Precision models.Precision
	Shapes    [][]int // of the inputs
	Train     bool
	Loss      []struct {
		Output         string
		Kind           models.LossKind
		Weight, Smooth float32
		PositiveWeight float32 `json:"positive_weight"`
	}
	WeightDecay float64 `json:"weight_decay"`
}

type request struct {
	Do              string // "step", "infer" or "memory"
	Inputs, Targets []string
	Outputs         []string // of "infer": where to write them; may be empty
	Rate            float64
}

type answer struct {
	Error   string  `json:"error,omitempty"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu"` // seconds of processor time, of all threads
	Loss    float32 `json:"loss"`
	Sum     float64 `json:"sum"` // of all outputs
	Peak    int64   `json:"peak"`
	Base    int64   `json:"base"` // memory before the model was read
}

func main() {
	base := highWater()
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	out := json.NewEncoder(os.Stdout)
	s, err := open(in)
	if err == nil {
		err = out.Encode(answer{Base: base})
	}
	for err == nil {
		var r request
		if err = in.Decode(&r); err != nil {
			break
		}
		a, failed := s.do(r)
		if err = failed; err == nil {
			a.Base = base
			err = out.Encode(a)
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		_ = out.Encode(answer{Error: err.Error()})
		os.Exit(1)
	}
}

type session struct {
	trainer models.Trainer
	network models.Network
	arrays  map[string][]float32
}

func open(in *json.Decoder) (*session, error) {
	var c configuration
	if err := in.Decode(&c); err != nil {
		return nil, err
	}
	runtime.GOMAXPROCS(c.Threads)
	model, err := os.ReadFile(c.Model)
	if err != nil {
		return nil, err
	}
	s := &session{arrays: map[string][]float32{}}
	ctx := context.Background()
	if !c.Train {
		e, err := engine(c.Engine)
		if err != nil {
			return nil, err
		}
		s.network, err = e.Compile(ctx, model, &models.CompileOptions{Precision: c.Precision, Threads: c.Threads})
		return s, err
	}
	e, err := engine(c.Engine)
	if err != nil {
		return nil, err
	}
	t, ok := e.(models.TrainingEngine)
	if !ok {
		return nil, fmt.Errorf("%s does not train", c.Engine)
	}
	opts := models.TrainingOptions{InputShapes: c.Shapes, AdamW: models.AdamW{WeightDecay: c.WeightDecay}, Precision: c.Precision, Threads: c.Threads}
	for _, l := range c.Loss {
		opts.Loss.Terms = append(opts.Loss.Terms, models.LossTerm(l))
	}
	s.trainer, err = t.CompileTraining(ctx, model, opts)
	return s, err
}

func engine(name string) (models.Engine, error) {
	switch name {
	case "gorgonia":
		return gorgonia.New(), nil
	case "openvino":
		return openvino.New(nil)
	case "xla":
		return xla.New(nil)
	case "xla-native": // 3D convolutions as XLA makes them
		return xla.New(&xla.Options{Convolution: xla.Native})
	}
	return nil, fmt.Errorf("no engine %q", name)
}

func (s *session) do(r request) (answer, error) {
	if r.Do == "memory" {
		return answer{Peak: highWater()}, nil
	}
	ctx := context.Background()
	inputs, err := s.read(r.Inputs)
	if err != nil {
		return answer{}, err
	}
	targets, err := s.read(r.Targets)
	if err != nil {
		return answer{}, err
	}
	var a answer
	switch r.Do {
	case "step":
		wall, cpu := time.Now(), processor()
		if a.Loss, err = s.trainer.Gradients(ctx, models.Batch{Inputs: inputs, Targets: targets}); err == nil {
			_, err = s.trainer.Update(ctx, r.Rate)
		}
		a.Seconds, a.CPU = time.Since(wall).Seconds(), processor()-cpu
	case "infer":
		outputs := make([][]float32, len(s.network.Outputs()))
		for i, p := range s.network.Outputs() {
			outputs[i] = make([]float32, p.Len())
		}
		wall, cpu := time.Now(), processor()
		err = s.network.Infer(ctx, inputs, outputs)
		a.Seconds, a.CPU = time.Since(wall).Seconds(), processor()-cpu
		for i, o := range outputs {
			for _, v := range o {
				a.Sum += float64(v)
			}
			if err == nil && i < len(r.Outputs) {
				err = write(r.Outputs[i], s.network.Outputs()[i].Shape, o)
			}
		}
	default:
		err = fmt.Errorf("can't do %q", r.Do)
	}
	return a, err
}

// read returns the arrays of .npy files, each read once.
func (s *session) read(paths []string) ([][]float32, error) {
	all := make([][]float32, len(paths))
	for i, path := range paths {
		if s.arrays[path] == nil {
			file, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			a, err := npy.Decode(file)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			if a.DType != npy.Float32 {
				return nil, fmt.Errorf("%s: values are %s, not float32", path, a.DType)
			}
			v := make([]float32, len(a.Data)/4)
			for k := range v {
				v[k] = math.Float32frombits(binary.LittleEndian.Uint32(a.Data[4*k:]))
			}
			s.arrays[path] = v
		}
		all[i] = s.arrays[path]
	}
	return all, nil
}

func write(path string, shape []int, values []float32) error {
	a := npy.New(npy.Float32, shape...)
	for k, v := range values {
		binary.LittleEndian.PutUint32(a.Data[4*k:], math.Float32bits(v))
	}
	return os.WriteFile(path, a.Bytes(), 0o666)
}

// highWater is the largest resident set so far, in bytes; 0 where the system does not say.
func highWater() int64 {
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
}

func processor() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
