package segment

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/models"
)

// double is a network whose output is a function of its input.
type double struct {
	in, out []models.Port
	run     func(in, out []float32)
}

func (n *double) Inputs() []models.Port  { return n.in }
func (n *double) Outputs() []models.Port { return n.out }
func (n *double) Close() error           { return nil }
func (n *double) Infer(ctx context.Context, inputs, outputs [][]float32) error {
	if err := models.CheckBuffers(n, inputs, outputs); err != nil {
		return err
	}
	n.run(inputs[0], outputs[0])
	return ctx.Err()
}

func network(channels int, run func(in, out []float32)) *double {
	return &double{
		in:  []models.Port{{Name: "x", Shape: []int{1, channels, Size, Size, Size}}},
		out: []models.Port{{Name: "y", Shape: []int{1, 7, Size, Size, Size}}},
		run: run,
	}
}

func alone(channels int, run func(in, out []float32)) []models.Network {
	return []models.Network{network(channels, run)}
}

func someVolume() *npy.Array {
	v := npy.New(npy.Uint8, Size, Size, Size)
	for i := range v.Data {
		v.Data[i] = uint8(i * 7)
	}
	return v
}

func TestNetworkSeesSharesAndMaskHasBytes(t *testing.T) {
	v := someVolume()
	for _, channels := range []int{1, 3} {
		// Level l's probability is the voxel's value, from channel l mod C; so the mask repeats the volume.
		mask, err := Infer(t.Context(), alone(channels, func(in, out []float32) {
			for level := range 7 {
				copy(out[level*voxels:(level+1)*voxels], in[level%channels*voxels:])
			}
		}), v)
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range mask.Data {
			if got != v.Data[i%voxels] {
				t.Fatalf("%d channels: value %d is %d, want %d", channels, i, got, v.Data[i%voxels])
			}
		}
	}
}

func TestEnsembleIsTheMeanOfProbabilities(t *testing.T) {
	constant := func(channels int, p float32) models.Network {
		return network(channels, func(_, out []float32) {
			for i := range out {
				out[i] = p
			}
		})
	}
	for range 2 { // the second run must not see the first's sum
		mask, err := Infer(t.Context(), []models.Network{constant(1, 0.25), constant(3, 0.5), constant(1, 0.75)}, someVolume())
		if err != nil {
			t.Fatal(err)
		}
		if first, last := mask.Data[0], mask.Data[len(mask.Data)-1]; first != 128 || last != 128 {
			t.Errorf("the mean of 0.25, 0.5 and 0.75 becomes %d and %d, want 128", first, last)
		}
	}
}

func TestProbabilitiesAreRounded(t *testing.T) {
	for _, c := range []struct {
		p    float32
		want uint8
	}{{0, 0}, {1, 255}, {0.5, 128}, {0.499 / 255, 0}, {0.501 / 255, 1}, {254.499 / 255, 254}, {254.501 / 255, 255}} {
		got := []uint8{99}
		if bad := quantise(got, []float32{c.p}); bad != -1 || got[0] != c.want {
			t.Errorf("%g becomes %d, want %d", c.p, got[0], c.want)
		}
	}
}

func TestWhatIsNoProbabilityIsRefused(t *testing.T) {
	nan := float32(math.NaN())
	for _, bad := range []float32{nan, -0.1, 1.01, float32(math.Inf(1)), float32(math.Inf(-1))} {
		mask, err := Infer(t.Context(), alone(1, func(_, out []float32) {
			clear(out)
			out[len(out)-1] = bad
		}), someVolume())
		var refused *refusal.Error
		if mask != nil || !errors.As(err, &refused) || refused.Code != CodeProbabilities {
			t.Errorf("%g: error is %v", bad, err)
		}
	}
}

func TestOtherPortsAreRefusedByShape(t *testing.T) {
	good := network(1, nil)
	two := &double{in: append(good.in, good.in...), out: good.out}
	small := &double{in: []models.Port{{Shape: []int{1, 3, 64, 64, 64}}}, out: good.out}
	six := &double{in: good.in, out: []models.Port{{Shape: []int{1, 6, Size, Size, Size}}}}
	flat := &double{in: []models.Port{{Shape: []int{1, 3, 224, 224}}}, out: []models.Port{{Shape: []int{1, 1000}}}}
	for _, n := range []*double{two, small, six, flat, network(2, nil)} {
		_, err := Infer(t.Context(), []models.Network{n}, someVolume())
		var refused *refusal.Error
		if !errors.As(err, &refused) || refused.Code != CodePorts || !strings.Contains(err.Error(), "expected one input [1 1 or 3 128 128 128]") {
			t.Errorf("%v: error is %v", n.in, err)
		}
	}
}

func TestVolumeOfAnotherShapeIsAnError(t *testing.T) {
	if _, err := Infer(t.Context(), alone(1, nil), npy.New(npy.Uint8, Size, Size, 64)); err == nil {
		t.Error("accepted")
	}
}

func TestEndedContextIsHonoured(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Infer(ctx, alone(1, func(_, out []float32) { clear(out) }), someVolume()); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// BenchmarkAround is all that Infer does besides the network.
func BenchmarkAround(b *testing.B) {
	n, v := alone(1, func(_, _ []float32) {}), someVolume()
	for b.Loop() {
		if _, err := Infer(b.Context(), n, v); err != nil {
			b.Fatal(err)
		}
	}
}
