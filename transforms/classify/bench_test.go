package classify

import (
	"context"
	"strconv"
	"testing"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms"
)

// BenchmarkAnswers is what keeping a vertebra's answer costs on a local disk, and what finding it costs: seven a study for every classifier of
// type 1.
func BenchmarkAnswers(b *testing.B) {
	store, err := artifacts.Open(b.Context(), b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	recipe := func(i int) artifacts.Recipe {
		return artifacts.Recipe{Transform: "classify", Version: Version, Params: []artifacts.Param{{Name: "engine", Value: "gorgonia 1, avx512"}, {Name: "i", Value: strconv.Itoa(i)}},
			Inputs: []artifacts.Input{{Name: "model"}, {Name: "crop"}}}
	}
	made := 0
	r := &transforms.Report{Store: store}
	b.Run("store", func(b *testing.B) {
		for b.Loop() {
			logits := make([]float32, Positions)
			logits[0] = float32(made)
			if _, err := r.Do(b.Context(), "C1", recipe(made), func(context.Context) (artifacts.Content, error) {
				return artifacts.Content{Data: encode(logits)}, nil
			}); err != nil {
				b.Fatal(err)
			}
			made++
		}
	})
	b.Run("find", func(b *testing.B) {
		i := 0
		for b.Loop() {
			if known, err := r.Known(b.Context(), "C1", recipe(i%made)); known == nil || err != nil {
				b.Fatal(known, err)
			}
			i++
		}
	})
}
