package classify

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/engines"
	"github.com/cspine/cspine/transforms"
)

func init() {
	register.DoFn4x1[context.Context, transforms.Vertebrae, func(transforms.Classified), func(artifacts.Row), error](&DoFn{})
	transforms.WorksApart(func(ctx context.Context, f *DoFn, study transforms.Vertebrae, emit func(transforms.Classified), outcome func(artifacts.Row)) error {
		return f.ProcessElement(ctx, study, emit, outcome)
	})
}

// shared are the networks of this process.
var shared models.Shared

// atOnce bounds the studies that are classified at a time: a network runs one call after the other anyway, and a second study is there to
// have its crops read meanwhile. The inputs of a network of type 2 have 126 MB at 224 x 224.
var atOnce = semaphore.NewWeighted(2)

// DoFn asks the classifiers about each study. A crop is read once, whatever the number of those who have not seen it, and not at all if all
// have.
type DoFn struct {
	transforms.Site
	Ensemble Ensemble
}

// ProcessElement emits the study with the classifiers' answers.
func (f *DoFn) ProcessElement(ctx context.Context, study transforms.Vertebrae, emit func(transforms.Classified), outcome func(artifacts.Row)) error {
	if f.Apart() {
		return transforms.WorkApart(ctx, f, "classify", study.UID, study, emit, outcome)
	}
	engine, err := engines.Find(f.Ensemble.Engine, engines.Inference)
	if err != nil {
		return err
	}
	var logits []string
	ok, err := f.Run(ctx, "classify", study.UID, &study.Pending, outcome, func(r *transforms.Report) error {
		p := &pass{DoFn: f, engine: engine, r: r, study: study}
		all, err := p.questions()
		if err != nil {
			return err
		}
		return r.Once(ctx, asked(all), &logits, func() error {
			if err := p.answer(ctx, all); err != nil {
				return err
			}
			for _, q := range all {
				logits = append(logits, q.digest())
			}
			return nil
		})
	})
	if ok {
		emit(transforms.Classified{Study: study, Logits: logits, Pending: study.Pending})
	}
	return err
}

// asked is what the answers follow from.
func asked(all []*question) (recipes []artifacts.Digest) {
	for _, q := range all {
		recipes = append(recipes, q.recipe.Digest())
	}
	return recipes
}

// pass is one study on its way through the classifiers.
type pass struct {
	*DoFn
	engine models.Engine
	r      *transforms.Report
	study  transforms.Vertebrae
	// storing keeps answers while the next questions are asked: a store waits for its disk, four times for each.
	storing errgroup.Group
}

// question is what one classifier is asked: about one vertebra, or about all together.
type question struct {
	File
	level  int // −1 for all
	recipe artifacts.Recipe
	// answer is nil until it is known, and for what was not found.
	answer *artifacts.Result
	seen   bool // whether there is anything to ask about
}

func (q *question) digest() string {
	if q.answer == nil {
		return ""
	}
	return q.answer.Output.Digest.String()
}

// part is what the question's row in the manifest is about.
func (q *question) part() string {
	if q.level < 0 {
		return ""
	}
	return volume.LevelName(q.level)
}

// questions lists what is asked of a study, in the order of transforms.Classified.
func (p *pass) questions() ([]*question, error) {
	if len(p.study.Samples) != volume.Levels {
		return nil, fmt.Errorf("classify: %d samples are not the %d of a neck", len(p.study.Samples), volume.Levels)
	}
	var all []*question
	for _, file := range p.Ensemble.Files {
		if file.Spec.Type == Patient {
			q, err := p.question(file, -1, p.study.Samples)
			if err != nil {
				return nil, err
			}
			all = append(all, q)
			continue
		}
		for level := range p.study.Samples {
			q, err := p.question(file, level, p.study.Samples[level:level+1])
			if err != nil {
				return nil, err
			}
			all = append(all, q)
		}
	}
	return all, nil
}

// question names all that the answer depends on. What level a vertebra is a network of type 1 does not know: equal crops have one answer.
func (p *pass) question(file File, level int, samples []transforms.Sample) (*question, error) {
	q := &question{File: file, level: level}
	model, err := artifacts.ParseDigest(file.Digest)
	if err != nil {
		return nil, err
	}
	q.recipe = artifacts.Recipe{Transform: "classify", Version: Version,
		Params: []artifacts.Param{
			{Name: "engine", Value: p.engine.Identity()},
			{Name: "precision", Value: string(p.Ensemble.CompileOptions().Precision)},
			{Name: "flips", Value: strconv.FormatBool(p.Ensemble.Flips)},
		},
		Inputs: []artifacts.Input{{Name: "model", Digest: model}}}
	for _, s := range samples {
		if !s.Found {
			continue
		}
		crop, err := artifacts.ParseDigest(s.Crop)
		if err != nil {
			return nil, err
		}
		name := "crop"
		if level < 0 {
			name += " " + volume.LevelName(s.Level)
		}
		q.recipe.Inputs = append(q.recipe.Inputs, artifacts.Input{Name: name, Digest: crop})
		q.seen = true
	}
	return q, nil
}

// How many records of a study are looked up, and how many answers are stored, at a time.
const (
	lookups = 8
	stores  = 8
)

// answer finds the answers that are cached, and asks all other questions in one pass over the study's crops.
func (p *pass) answer(ctx context.Context, all []*question) error {
	g, looking := errgroup.WithContext(ctx)
	g.SetLimit(lookups)
	for _, q := range all {
		if !q.seen {
			continue
		}
		g.Go(func() (err error) {
			q.answer, err = p.r.Known(looking, q.part(), q.recipe)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	open := slices.DeleteFunc(slices.Clone(all), func(q *question) bool { return !q.seen || q.answer != nil })
	if len(open) == 0 {
		return nil
	}
	if p.r.Planning() {
		return transforms.ErrPlanned
	}
	if err := atOnce.Acquire(ctx, 1); err != nil {
		return err
	}
	defer atOnce.Release(1)
	p.storing.SetLimit(stores)
	err := p.ask(ctx, open)
	return cmp.Or(p.storing.Wait(), err)
}

// ask goes through the study's crops from C1 to C7. Networks of type 1 are asked as each crop comes; those of type 2 at the end.
func (p *pass) ask(ctx context.Context, open []*question) error {
	together := slices.ContainsFunc(open, func(q *question) bool { return q.level < 0 })
	wanted := func(level int) bool {
		return p.study.Samples[level].Found && (together || slices.ContainsFunc(open, func(q *question) bool { return q.level == level }))
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	crops := p.read(reading, wanted)
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.reset()
	for level := range volume.Levels {
		if !wanted(level) {
			continue
		}
		crop, ok := <-crops
		if !ok {
			return ctx.Err()
		}
		if crop.err != nil {
			return crop.err
		}
		for _, q := range open {
			var err error
			switch q.level {
			case level:
				err = p.one(ctx, q, s, crop.data)
			case -1:
				_, err = s.place(q.Spec, level, crop.data)
			}
			if err != nil {
				return err
			}
		}
		s.next()
	}
	for _, q := range open {
		if q.level >= 0 {
			continue
		}
		in, err := s.place(q.Spec, -1, nil)
		if err == nil {
			err = p.put(ctx, q, in)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// one asks about a single vertebra.
func (p *pass) one(ctx context.Context, q *question, s *scratch, crop []uint8) error {
	in, err := s.place(q.Spec, 0, crop)
	if err != nil {
		return err
	}
	return p.put(ctx, q, in)
}

// put asks a question and stores the answer: float32, the logits.
func (p *pass) put(ctx context.Context, q *question, in []float32) error {
	start := time.Now()
	// A model that can't be compiled is every study's trouble.
	net, err := shared.Network(ctx, p.engine, q.Digest, func(ctx context.Context) ([]byte, error) { return p.r.Get(ctx, q.Digest) }, p.Ensemble.CompileOptions())
	if err != nil {
		return transforms.Fatal(fmt.Errorf("classifier: %w", err))
	}
	logits, err := Ask(ctx, net, q.Spec, in, p.Ensemble.Flips)
	if err != nil {
		return err
	}
	if q.level < 0 {
		for level, s := range p.study.Samples {
			if !s.Found {
				for i := range Positions {
					logits[level*Positions+i] = float32(math.NaN())
				}
			}
		}
	}
	seconds := time.Since(start).Seconds()
	p.storing.Go(func() error {
		res, err := p.r.Do(ctx, q.part(), q.recipe, func(context.Context) (artifacts.Content, error) {
			return artifacts.Content{Data: encode(logits), Seconds: seconds}, nil
		})
		q.answer = &res
		return err
	})
	return nil
}

type loaded struct {
	data []uint8
	err  error
}

// read reads the wanted crops in order, one ahead of who takes them.
func (p *pass) read(ctx context.Context, wanted func(level int) bool) <-chan loaded {
	crops := make(chan loaded)
	go func() {
		defer close(crops)
		for level, s := range p.study.Samples {
			if !wanted(level) {
				continue
			}
			var l loaded
			a, err := p.r.Tensor(ctx, s.Crop)
			if err == nil && (a.DType != npy.Uint8 || !slices.Equal(a.Shape, []int{Positions, Planes, Size, Size})) {
				err = fmt.Errorf("classify: the crop of %s is %s %v", volume.LevelName(level), a.DType, a.Shape)
			}
			if l.err = err; err == nil {
				l.data = a.Data
			}
			select {
			case crops <- l:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return crops
}

// scratch is the networks' inputs of one study, kept for the next one.
type scratch struct {
	small  []uint8
	inputs map[inputKey]*input
}

// inputKey: networks of one type and size are given one and the same input.
type inputKey struct{ kind, side int }

type input struct {
	values []float32
	filled [volume.Levels]bool
}

var scratches = sync.Pool{New: func() any { return &scratch{inputs: map[inputKey]*input{}} }}

func (s *scratch) reset() {
	for _, in := range s.inputs {
		in.filled = [volume.Levels]bool{}
	}
}

// next makes the inputs of type 1 ready for the next crop.
func (s *scratch) next() {
	for k, in := range s.inputs {
		if k.kind == Vertebra {
			in.filled = [volume.Levels]bool{}
		}
	}
}

// place puts a crop at its place in the input of a network, unless it is there, and returns the input. Without a crop it puts zeros to all places that
// were not filled.
func (s *scratch) place(spec Spec, at int, crop []uint8) ([]float32, error) {
	key := inputKey{spec.Type, spec.Height}
	in, n := s.inputs[key], spec.planes()
	if in == nil {
		in = &input{values: make([]float32, spec.Crops()*n)}
		s.inputs[key] = in
	}
	if crop == nil {
		for i := range spec.Crops() {
			if !in.filled[i] {
				clear(in.values[i*n:][:n])
			}
		}
		return in.values, nil
	}
	if in.filled[at] {
		return in.values, nil
	}
	in.filled[at] = true
	var err error
	s.small, err = Input(in.values[at*n:][:n], crop, spec, s.small)
	return in.values, err
}

// encode makes an array of logits.
func encode(logits []float32) []byte {
	a := npy.New(npy.Float32, len(logits))
	for i, z := range logits {
		binary.LittleEndian.PutUint32(a.Data[4*i:], math.Float32bits(z))
	}
	return a.Bytes()
}

// Decode reads the artifact of a network's answer: its logits, those of a vertebra that was not found NaN.
func Decode(file []byte, s Spec) ([]float32, error) {
	a, err := npy.Decode(file)
	if err != nil {
		return nil, err
	}
	if a.DType != npy.Float32 || !slices.Equal(a.Shape, []int{s.Logits()}) {
		return nil, errors.New("classify: the artifact is no answer of this network")
	}
	logits := make([]float32, s.Logits())
	for i := range logits {
		logits[i] = math.Float32frombits(binary.LittleEndian.Uint32(a.Data[4*i:]))
	}
	return logits, nil
}
