package classify

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/transforms"
)

// doubles is an engine whose models are their names: compiling one makes a network that adds up its input.
type doubles struct {
	mu    sync.Mutex
	name  string // of its own: networks are shared by their engine's name
	specs map[string]Spec
	nets  map[string]*double
}

func (e *doubles) Name() string                   { return e.name }
func (e *doubles) Identity() string               { return "doubles" }
func (e *doubles) Precisions() []models.Precision { return []models.Precision{models.F32} }
func (e *doubles) Compile(_ context.Context, model []byte, _ *models.CompileOptions) (models.Network, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.nets[string(model)] != nil {
		return nil, fmt.Errorf("%s is compiled twice", model)
	}
	n := &double{spec: e.specs[string(model)], run: func(in, slices []float32) (sum float32) {
		each := len(in) / len(slices)
		for i := range slices {
			slices[i] = 0
			for _, v := range in[i*each:][:each] {
				slices[i] += v / 1000
			}
			sum += slices[i]
		}
		return sum
	}}
	e.nets[string(model)] = n
	return n, nil
}

// counting counts the reads of objects.
type counting struct {
	artifacts.Driver
	mu    sync.Mutex
	reads map[string]int
}

func (c *counting) Read(ctx context.Context, key string) ([]byte, error) {
	c.mu.Lock()
	c.reads[key]++
	c.mu.Unlock()
	return c.Driver.Read(ctx, key)
}

// clinic is a store with crops, an engine, and the study that is classified.
type clinic struct {
	t      *testing.T
	driver *counting
	store  *artifacts.Store
	engine *doubles
	study  transforms.Vertebrae
	files  []File
}

var clinics atomic.Int32

func newClinic(t *testing.T) *clinic {
	t.Helper()
	mem, err := artifacts.OpenDriver(t.Context(), "mem://", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &clinic{t: t, driver: &counting{Driver: mem, reads: map[string]int{}}, engine: &doubles{name: fmt.Sprint("doubles ", clinics.Add(1)), specs: map[string]Spec{}, nets: map[string]*double{}}}
	if c.store, err = artifacts.New(t.Context(), c.driver, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.store.Close() })
	c.study.UID = "1.2.3"
	for level := range volume.Levels {
		c.study.Samples = append(c.study.Samples, transforms.Sample{Level: level, Found: true, Crop: c.crop(level + 1)})
	}
	return c
}

// crop stores a crop of one grey value.
func (c *clinic) crop(value int) string {
	a := npy.New(npy.Uint8, Positions, Planes, Size, Size)
	for i := range a.Data {
		a.Data[i] = uint8(value)
	}
	return c.put(a.Bytes())
}

func (c *clinic) put(data []byte) string {
	c.t.Helper()
	out, err := c.store.Put(c.t.Context(), artifacts.Content{Data: data})
	if err != nil {
		c.t.Fatal(err)
	}
	return out.Digest.String()
}

// hire adds a classifier of a type and size.
func (c *clinic) hire(name string, kind, side int) {
	s := Spec{Type: kind, Height: side, Width: side}
	c.engine.specs[name] = s
	c.files = append(c.files, File{Digest: c.put([]byte(name)), Spec: s})
}

// classify returns the logits' digests, and what was computed, as parts of rows.
func (c *clinic) classify(flips bool) (digests, computed []string) {
	c.t.Helper()
	clear(c.driver.reads)
	var rows []artifacts.Row
	ok, err := transforms.Run(c.t.Context(), c.store, "classify", "1.2.3", func(r artifacts.Row) { rows = append(rows, r) }, func(r *transforms.Report) error {
		p := &pass{DoFn: &DoFn{Ensemble: Ensemble{Files: c.files, Flips: flips}}, engine: c.engine, r: r, study: c.study}
		all, err := p.questions()
		if err != nil {
			return err
		}
		if err := p.answer(c.t.Context(), all); err != nil {
			return err
		}
		for _, q := range all {
			digests = append(digests, q.digest())
		}
		return nil
	})
	if !ok || err != nil {
		c.t.Fatal(rows, err)
	}
	for _, r := range rows {
		if !r.Hit {
			computed = append(computed, r.Part)
		}
	}
	slices.Sort(computed)
	return digests, computed
}

// cropsRead lists how often each crop was read, C1 first.
func (c *clinic) cropsRead() []int {
	n := make([]int, volume.Levels)
	for level, s := range c.study.Samples {
		for key, reads := range c.driver.reads {
			if s.Found && strings.Contains(key, s.Crop) {
				n[level] += reads
			}
		}
	}
	return n
}

func (c *clinic) logits(digest string, s Spec) []float32 {
	c.t.Helper()
	d, err := artifacts.ParseDigest(digest)
	if err != nil {
		c.t.Fatal(err)
	}
	file, err := c.store.Get(c.t.Context(), d)
	if err != nil {
		c.t.Fatal(err)
	}
	logits, err := Decode(file, s)
	if err != nil {
		c.t.Fatal(err)
	}
	return logits
}

var (
	everyLevel = []string{"C1", "C2", "C3", "C4", "C5", "C6", "C7"}
	once       = []int{1, 1, 1, 1, 1, 1, 1}
	never      = []int{0, 0, 0, 0, 0, 0, 0}
)

func TestACropIsReadOnceForAnyNumberOfClassifiersAndFlips(t *testing.T) {
	c := newClinic(t)
	c.hire("a", Vertebra, 56)
	c.hire("b", Vertebra, 56)
	c.hire("c", Patient, 28)
	c.hire("d", Vertebra, 28)
	c.hire("e", Patient, 28)
	digests, computed := c.classify(true)
	if diff := cmp.Diff(once, c.cropsRead()); diff != "" {
		t.Error("reads by crop:", diff)
	}
	if len(computed) != 3*7+2 || len(digests) != 3*7+2 {
		t.Errorf("%d answers, %d digests", len(computed), len(digests))
	}
	for name, n := range c.engine.nets {
		if want := map[int]int{Vertebra: 2 * 7, Patient: 2}[n.spec.Type]; n.asked != want {
			t.Errorf("%s was asked %d times, want %d", name, n.asked, want)
		}
	}
}

func TestKnownLogitsReadNoCrop(t *testing.T) {
	c := newClinic(t)
	c.hire("a", Vertebra, 56)
	c.hire("b", Patient, 56)
	first, _ := c.classify(false)
	second, computed := c.classify(false)
	if diff := cmp.Diff(never, c.cropsRead()); diff != "" || len(computed) != 0 {
		t.Error("computed", computed, "reads by crop:", diff)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error(diff)
	}
}

func TestASecondClassifierCostsItsOwnAnswersAlone(t *testing.T) {
	c := newClinic(t)
	c.hire("a", Vertebra, 56)
	c.classify(false)
	c.hire("b", Vertebra, 56)
	if _, computed := c.classify(false); !slices.Equal(computed, everyLevel) {
		t.Errorf("computed %v", computed)
	}
	c.hire("c", Patient, 56)
	if _, computed := c.classify(false); !slices.Equal(computed, []string{""}) {
		t.Errorf("computed %v", computed)
	}
	if c.engine.nets["a"].asked != 7 {
		t.Errorf("the first was asked %d times", c.engine.nets["a"].asked)
	}
}

func TestOnlyTheVertebraWhoseCropChangedIsAskedAboutAgain(t *testing.T) {
	c := newClinic(t)
	c.hire("a", Vertebra, 56)
	c.classify(false)
	c.study.Samples[2].Crop = c.crop(99)
	if _, computed := c.classify(false); !slices.Equal(computed, []string{"C3"}) || !slices.Equal(c.cropsRead(), []int{0, 0, 1, 0, 0, 0, 0}) {
		t.Errorf("computed %v, read %v", computed, c.cropsRead())
	}
	// A network that looks at all together is asked again if any crop changed.
	c.hire("b", Patient, 56)
	c.classify(false)
	c.study.Samples[2].Crop = c.crop(98)
	if _, computed := c.classify(false); !slices.Equal(computed, []string{"", "C3"}) || !slices.Equal(c.cropsRead(), once) {
		t.Errorf("computed %v, read %v", computed, c.cropsRead())
	}
}

func TestFlipsAreOtherAnswers(t *testing.T) {
	c := newClinic(t)
	c.hire("a", Vertebra, 56)
	c.classify(false)
	if _, computed := c.classify(true); !slices.Equal(computed, everyLevel) {
		t.Errorf("computed %v", computed)
	}
}

func TestLogitsAreOfTheirOwnVertebra(t *testing.T) {
	c := newClinic(t)
	c.hire("a", Vertebra, 28)
	c.hire("b", Patient, 28)
	digests, _ := c.classify(false)
	together := c.logits(digests[7], c.files[1].Spec)
	total := float32(0)
	for level := range volume.Levels {
		alone := c.logits(digests[level], c.files[0].Spec)
		want := float64(level+1) / 255 * Planes * 28 * 28 / 1000
		for i := range Positions {
			if math.Abs(float64(alone[i])-want) > 1e-3*want || together[level*Positions+i] != alone[i] {
				t.Errorf("%s, slice %d: %g alone, %g together, want %g", volume.LevelName(level), i, alone[i], together[level*Positions+i], want)
			}
			total += alone[i]
		}
	}
	if got := together[len(together)-1]; math.Abs(float64(got-total)) > 1e-4*float64(total) {
		t.Errorf("the patient has %g, want %g", got, total)
	}
}

func TestAMissingVertebraIsNotMadeUp(t *testing.T) {
	c := newClinic(t)
	c.hire("a", Vertebra, 56)
	c.hire("b", Patient, 56)
	c.classify(false) // fills buffers that the next study finds
	c.study.Samples[4] = transforms.Sample{Level: 4}
	digests, computed := c.classify(false)
	if !slices.Equal(computed, []string{""}) || digests[4] != "" {
		t.Errorf("computed %v, C5 is %q", computed, digests[4])
	}
	together := c.logits(digests[7], c.files[1].Spec)
	sum := float32(0)
	for i, z := range together[:len(together)-1] {
		if missing := i/Positions == 4; math.IsNaN(float64(z)) != missing {
			t.Errorf("slice %d has %g", i, z)
		} else if !missing {
			sum += z
		}
	}
	if got := together[len(together)-1]; math.Abs(float64(got-sum)) > 1e-4*float64(sum) {
		t.Errorf("the network saw %g in place of zeros", got-sum)
	}
}

func TestNobodyIsAskedAboutAStudyWithoutVertebrae(t *testing.T) {
	c := newClinic(t)
	c.hire("a", Vertebra, 56)
	c.hire("b", Patient, 56)
	for level := range c.study.Samples {
		c.study.Samples[level] = transforms.Sample{Level: level}
	}
	digests, computed := c.classify(false)
	if len(computed) != 0 || len(c.engine.nets) != 0 || strings.Join(digests, "") != "" || len(digests) != 8 {
		t.Errorf("computed %v: %q", computed, digests)
	}
}

func TestADamagedCropEndsTheStudyAndNotTheRun(t *testing.T) {
	c := newClinic(t)
	c.hire("a", Vertebra, 56)
	c.study.Samples[3].Crop = c.put(npy.New(npy.Uint8, 3, 4).Bytes())
	var rows []artifacts.Row
	ok, err := transforms.Run(t.Context(), c.store, "classify", "1.2.3", func(r artifacts.Row) { rows = append(rows, r) }, func(r *transforms.Report) error {
		p := &pass{DoFn: &DoFn{Ensemble: Ensemble{Files: c.files}}, engine: c.engine, r: r, study: c.study}
		all, err := p.questions()
		if err != nil {
			return err
		}
		return p.answer(t.Context(), all)
	})
	last := rows[len(rows)-1]
	if ok || err != nil || last.Verdict != transforms.Refused || !strings.Contains(last.Detail, "C4") {
		t.Errorf("%t, %v, %+v", ok, err, last)
	}
}
