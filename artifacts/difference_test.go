package artifacts

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDifferencesNameWhatDiffers(t *testing.T) {
	a, b, c := DigestOf([]byte("a")), DigestOf([]byte("b")), DigestOf([]byte("c"))
	old := Recipe{Transform: "crop", Version: 1, Params: []Param{{"level", "C4"}, {"box", "1 2"}}, Inputs: []Input{{"patch", a}, {"slices", b}}}
	for _, c := range []struct {
		name string
		now  Recipe
		want []Difference
	}{
		{"nothing", Recipe{"crop", 1, []Param{{"box", "1 2"}, {"level", "C4"}}, old.Inputs}, nil},
		{"the transform", Recipe{"cut", 1, old.Params, old.Inputs}, []Difference{{DifferentTransform, "", "crop", "cut"}}},
		{"the version", Recipe{"crop", 2, old.Params, old.Inputs}, []Difference{{DifferentVersion, "", "1", "2"}}},
		{"a parameter", Recipe{"crop", 1, []Param{{"level", "C4"}, {"box", "1 3"}}, old.Inputs}, []Difference{{DifferentParam, "box", "1 2", "1 3"}}},
		{"one more, one less", Recipe{"crop", 1, []Param{{"grid", "7"}, {"level", "C4"}}, old.Inputs},
			[]Difference{{DifferentParam, "grid", "", "7"}, {DifferentParam, "box", "1 2", ""}}},
		{"an input", Recipe{"crop", 1, old.Params, []Input{{"patch", c}, {"slices", b}}}, []Difference{{DifferentInput, "patch", a.String(), c.String()}}},
		{"more inputs of a name", Recipe{"crop", 1, old.Params, []Input{{"patch", a}, {"patch", c}}},
			[]Difference{{DifferentInput, "patch", "", c.String()}, {DifferentInput, "slices", b.String(), ""}}},
		{"their order", Recipe{"crop", 1, old.Params, []Input{{"slices", b}, {"patch", a}}}, []Difference{{DifferentInput, "order", "", "other"}}},
	} {
		if diff := cmp.Diff(c.want, c.now.Differences(old)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if none := len(c.want) == 0; none != (c.now.Digest() == old.Digest()) {
			t.Errorf("%s: the digests do not say the same", c.name)
		}
	}
}
