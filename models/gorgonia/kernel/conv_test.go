package kernel

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestConvolutionsArePyTorchs compares with values that testdata/conv.py made.
func TestConvolutionsArePyTorchs(t *testing.T) {
	raw, err := os.ReadFile("testdata/conv.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name          string
		Geometry      Geometry
		Y, DX, DW, DB []float32
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	values := func(n, factor int) []float32 {
		s, _ := guarded(n)
		for i := range s {
			s[i] = float32(i*factor%257-128) / 64
		}
		return s
	}
	eachLevel(t, func(t *testing.T) {
		for _, k := range cases {
			t.Run(k.Name, func(t *testing.T) {
				c, err := NewConv(k.Geometry, NewWorkers(2))
				if err != nil {
					t.Fatal(err)
				}
				x, w, b, dy := values(c.xLen, 7919), values(c.wLen, 104729), values(k.Geometry.Out, 31), values(c.yLen, 1299709)
				y, dx, dw, db := make([]float32, c.yLen), make([]float32, c.xLen), make([]float32, c.wLen), make([]float32, k.Geometry.Out)
				c.Forward(y, x, w, b)
				near(t, "y", y, k.Y, c.inG*c.kVol)
				c.GradInput(dx, w, dy)
				near(t, "dx", dx, k.DX, c.outG*c.kVol)
				c.GradWeight(dw, x, dy)
				near(t, "dw", dw, k.DW, c.outVol)
				c.GradBias(db, dy)
				near(t, "db", db, k.DB, c.outVol)
			})
		}
	})
}

// kinds are geometries that take each way through the kernels.
func kinds() map[string]Geometry {
	g := func(in, out, group int, size, kernel, stride [3]int) Geometry {
		g := Geometry{Batch: 2, In: in, Out: out, Group: group, InSize: size, Kernel: kernel, Stride: stride, Dilation: [3]int{1, 1, 1}}
		for a := range 3 {
			g.PadBegin[a] = (kernel[a] - 1) / 2
			g.OutSize[a] = (size[a]+2*g.PadBegin[a]-kernel[a])/stride[a] + 1
		}
		return g
	}
	one, two, three := [3]int{1, 1, 1}, [3]int{2, 2, 2}, [3]int{3, 3, 3}
	return map[string]Geometry{
		"full rows":         g(16, 12, 1, [3]int{5, 7, 32}, three, one),
		"padded planes":     g(5, 9, 1, [3]int{6, 11, 21}, three, one),
		"columns":           g(40, 80, 1, [3]int{3, 8, 8}, three, one),
		"one place":         g(64, 130, 1, one, three, one),
		"strided":           g(3, 16, 1, [3]int{9, 12, 33}, three, two),
		"strided, few rows": g(24, 64, 1, [3]int{6, 8, 8}, three, two),
		"one tap":           g(100, 70, 1, [3]int{3, 9, 17}, one, one),
		"four taps":         g(8, 12, 1, [3]int{6, 8, 40}, [3]int{4, 4, 4}, two),
		"depthwise":         g(12, 12, 12, [3]int{1, 19, 27}, [3]int{1, 7, 7}, one),
		"groups":            g(24, 36, 4, [3]int{1, 14, 14}, [3]int{1, 3, 3}, one),
	}
}

func random(r *rand.Rand, n int) []float32 {
	s := make([]float32, n)
	for i := range s {
		s[i] = r.Float32() - 0.5
	}
	return s
}

func TestResultsDoNotDependOnTheNumberOfWorkers(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for name, g := range kinds() {
			var want [][]float32
			for _, n := range []int{1, 2, 5} {
				c, err := NewConv(g, NewWorkers(n))
				if err != nil {
					t.Fatal(err)
				}
				r := rand.New(rand.NewPCG(9, 9))
				x, w, b, dy := random(r, c.xLen), random(r, c.wLen), random(r, g.Out), random(r, c.yLen)
				got := [][]float32{make([]float32, c.yLen), make([]float32, c.xLen), make([]float32, c.wLen), make([]float32, g.Out)}
				c.Forward(got[0], x, w, b)
				c.GradInput(got[1], w, dy)
				c.GradWeight(got[2], x, dy)
				c.GradBias(got[3], dy)
				if want == nil {
					want = got
				}
				for i := range got {
					if !slices.Equal(got[i], want[i]) {
						t.Errorf("%s: result %d differs with %d workers", name, i, n)
					}
				}
			}
		}
	})
}

// TestNaNAndInfinityReachWhatTheyBelongTo puts one into an operand. One in the tensor that is convolved must come out exactly where the
// definition has it. One in the weights meets padding too, and then may come out in more places of its channel, as it may among the taps of
// a gradient by the weights.
func TestNaNAndInfinityReachWhatTheyBelongTo(t *testing.T) {
	finite := func(v float32) bool { return v-v == 0 }
	check := func(t *testing.T, what string, got, want []float32, exact bool) {
		for i := range got {
			if finite(got[i]) != finite(want[i]) && (exact || finite(got[i])) {
				t.Fatalf("%s: [%d] = %v, want %v", what, i, got[i], want[i])
			}
		}
	}
	eachLevel(t, func(t *testing.T) {
		for name, g := range kinds() {
			g.Batch = 1
			if g.Group == 1 {
				g.In, g.Out = min(g.In, 16), min(g.Out, 12) // the definition is slow
			}
			c, err := NewConv(g, NewWorkers(2))
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(10, 10))
			y, dx, dw := make([]float32, c.yLen), make([]float32, c.xLen), make([]float32, c.wLen)
			py, pdx, pdw := make([]float32, c.yLen), make([]float32, c.xLen), make([]float32, c.wLen)
			for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
				x, w, dy := random(r, c.xLen), random(r, c.wLen), random(r, c.yLen)
				ix, iw, iy := r.IntN(len(x)), r.IntN(len(w)), r.IntN(len(dy))
				x[ix], dy[iy] = bad, bad
				c.Forward(y, x, w, nil)
				c.plainForward(py, x, w, nil)
				check(t, name+": y by x", y, py, true)
				c.GradInput(dx, w, dy)
				c.plainGradInput(pdx, w, dy)
				check(t, name+": dx by dy", dx, pdx, true)
				c.GradWeight(dw, x, dy)
				c.plainGradWeight(pdw, x, dy)
				check(t, name+": dw", dw, pdw, false)
				x[ix], dy[iy], w[iw] = 1, 1, bad
				c.Forward(y, x, w, nil)
				c.plainForward(py, x, w, nil)
				check(t, name+": y by w", y, py, false)
				c.GradInput(dx, w, dy)
				c.plainGradInput(pdx, w, dy)
				check(t, name+": dx by w", dx, pdx, false)
			}
		}
	})
}

func TestScratchIsBoundedAndReleased(t *testing.T) {
	w := NewWorkers(2)
	all := kinds()
	wide := all["padded planes"]
	wide.InSize, wide.OutSize, wide.Out = [3]int{20, 50, 13}, [3]int{20, 50, 13}, 400
	all["many outputs"] = wide
	for name, g := range all {
		g.InSize[2] *= 8
		g.OutSize[2] = (g.InSize[2]+2*g.PadBegin[2]-g.Kernel[2])/g.Stride[2] + 1
		c, err := NewConv(g, w)
		if err != nil {
			t.Fatal(err)
		}
		x, wt, y := make([]float32, c.xLen), make([]float32, c.wLen), make([]float32, c.yLen)
		c.Forward(y, x, wt, nil)
		c.GradInput(x, wt, y)
		c.GradWeight(wt, x, y)
		if n := w.ScratchBytes(); n > 16<<20 {
			t.Errorf("%s: %d bytes of scratch for 2 workers", name, n)
		}
	}
	w.Release()
	if n := w.ScratchBytes(); n != 0 {
		t.Errorf("%d bytes after Release", n)
	}
}

func TestNewConvRefusesNonsense(t *testing.T) {
	good := kinds()["groups"]
	for what, spoil := range map[string]func(g *Geometry){
		"no batch":       func(g *Geometry) { g.Batch = 0 },
		"odd groups":     func(g *Geometry) { g.Group = 5 },
		"empty output":   func(g *Geometry) { g.OutSize[1] = 0 },
		"no stride":      func(g *Geometry) { g.Stride[2] = 0 },
		"huge":           func(g *Geometry) { g.InSize = [3]int{1 << 20, 1 << 20, 1 << 20} },
		"negative":       func(g *Geometry) { g.Kernel[0] = -3 },
		"huge padding":   func(g *Geometry) { g.PadBegin[0] = math.MaxInt },
		"huge dilation":  func(g *Geometry) { g.Dilation[0] = math.MaxInt },
		"huge slab of 1": func(g *Geometry) { g.Dilation[1], g.Dilation[2] = 1<<16, 1<<16 },
	} {
		g := good
		spoil(&g)
		if _, err := NewConv(g, NewWorkers(1)); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if _, err := NewConv(good, nil); err == nil {
		t.Error("no workers: accepted")
	}
}

func TestDoRaisesPanicsInTheCaller(t *testing.T) {
	for _, n := range []int{1, 4} {
		func() {
			defer func() {
				v := recover()
				if v == nil {
					t.Fatal("the panic is lost")
				}
				if p, ok := v.(error); ok && !strings.Contains(p.Error(), "seven") {
					t.Errorf("%v does not say why", p)
				}
			}()
			NewWorkers(n).Do(100, func(_, piece int) {
				if piece == 7 {
					panic(errors.New("seven"))
				}
			})
		}()
	}
}

func TestDoRunsEachPieceOnceAndEachWorkerAlone(t *testing.T) {
	w := NewWorkers(4)
	busy := make([]bool, w.N())
	done := make([]int, 1000)
	w.Do(len(done), func(worker, piece int) {
		if busy[worker] {
			t.Error("one worker has two pieces")
		}
		busy[worker] = true
		done[piece]++
		busy[worker] = false
	})
	for i, n := range done {
		if n != 1 {
			t.Errorf("piece %d ran %d times", i, n)
		}
	}
}
