package artifacts

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// errTail marks bytes that are not an encoded recipe.
var errTail = errors.New("not an encoded recipe")

// decodeRecipe undoes Recipe.encode, up to the order of parameters. That there is such a function is the
// proof that no two recipes have one encoding.
func decodeRecipe(b []byte) (r Recipe, err error) {
	fail := false
	take := func(n uint64) []byte {
		if n > uint64(len(b)) {
			fail = true
			return nil
		}
		head := b[:n]
		b = b[n:]
		return head
	}
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		take(uint64(max(n, 1)))
		return v
	}
	text := func() string { return string(take(number())) }

	if string(take(uint64(len(recipeSalt)))) != recipeSalt {
		return r, errTail
	}
	r.Transform = text()
	v, n := binary.Varint(b)
	take(uint64(max(n, 1)))
	r.Version = int(v)
	for i := number(); i > 0 && !fail; i-- {
		r.Params = append(r.Params, Param{Name: text(), Value: text()})
	}
	for i := number(); i > 0 && !fail; i-- {
		in := Input{Name: text()}
		copy(in.Digest[:], take(uint64(len(in.Digest))))
		r.Inputs = append(r.Inputs, in)
	}
	if fail || len(b) != 0 {
		return r, errTail
	}
	return r, nil
}

func drawRecipe(t *rapid.T) Recipe {
	// Few letters, so that fields that run into each other would be found out.
	text := rapid.StringOfN(rapid.RuneFrom([]rune("ab\x00\x01")), 0, 4, -1)
	return Recipe{
		Transform: text.Draw(t, "transform"),
		Version:   rapid.Int().Draw(t, "version"),
		Params: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Param {
			return Param{Name: text.Draw(t, "name"), Value: text.Draw(t, "value")}
		}), 0, 4).Draw(t, "params"),
		Inputs: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Input {
			return Input{Name: text.Draw(t, "name"), Digest: DigestOf([]byte(text.Draw(t, "content")))}
		}), 0, 3).Draw(t, "inputs"),
	}
}

func TestRecipeEncodingIsInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecipe(t)
		got, err := decodeRecipe(r.encode())
		if err != nil {
			t.Fatal(err)
		}
		r.Params = sortedParams(r.Params)
		if diff := cmp.Diff(r, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("the encoding lost something (-recipe +decoded):\n%s", diff)
		}
	})
}

func TestRecipesDifferingInSubstanceHaveOtherDigests(t *testing.T) {
	same := func(a, b Recipe) bool {
		a.Params, b.Params = sortedParams(a.Params), sortedParams(b.Params)
		return cmp.Equal(a, b, cmpopts.EquateEmpty())
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawRecipe(t), drawRecipe(t)
		if same(a, b) != (a.Digest() == b.Digest()) {
			t.Fatalf("%+v and %+v", a, b)
		}
	})
}

func TestOrderCountsForInputsOnly(t *testing.T) {
	r := Recipe{Transform: "x", Params: []Param{{"b", "2"}, {"a", "1"}}, Inputs: []Input{{"p", Digest{1}}, {"q", Digest{2}}}}
	swapped := Recipe{Transform: "x", Params: []Param{{"a", "1"}, {"b", "2"}}, Inputs: r.Inputs}
	if r.Digest() != swapped.Digest() {
		t.Error("the order of parameters changed the digest")
	}
	if r.Params[0].Name != "b" {
		t.Error("Digest reordered its caller's parameters")
	}
	swapped.Inputs = slices.Clone(r.Inputs)
	slices.Reverse(swapped.Inputs)
	if r.Digest() == swapped.Digest() {
		t.Error("the order of inputs did not change the digest")
	}
}

// A change here is a change of format: every store there is would miss. It needs a new recipeSalt. The sums
// are those of testdata/make_expected.py.
func TestRecipeDigestIsWhatItAlwaysWas(t *testing.T) {
	for want, r := range map[string]Recipe{
		"d76f1fb1e7bc5d720f23d69487551abeb75329e2373fd58b35df094508bd3b78": {Transform: "crop", Version: 1},
		"a8b4fd54ec34a40521affaa5158e6d00bedefe92e43ff23ce204a0810b20fb69": {
			Transform: "crop", Version: -3, Params: []Param{{"size", "224"}, {"filter", "linear"}},
			Inputs: []Input{{"mask", DigestOf([]byte("mask"))}, {"slice", DigestOf(nil)}},
		},
	} {
		if got := r.Digest().String(); got != want {
			t.Errorf("%+v: digest %s, want %s", r, got, want)
		}
	}
}

func TestDigestTextIsStrict(t *testing.T) {
	d := DigestOf([]byte("x"))
	text, err := json.Marshal(d)
	if err != nil || string(text) != `"`+d.String()+`"` {
		t.Errorf("%s, %v", text, err)
	}
	var back Digest
	if err := json.Unmarshal(text, &back); err != nil || back != d {
		t.Errorf("%s, %v", back, err)
	}
	if want := "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"; d.String() != want {
		t.Errorf("sha256 of x is %s, want %s", d, want)
	}
	if d.Short() != d.String()[:12] || d.IsZero() || !(Digest{}).IsZero() {
		t.Error("Short or IsZero")
	}
	for _, bad := range []string{"", "2d", d.String() + "0", "2D" + d.String()[2:], "g" + d.String()[1:], " " + d.String()[1:]} {
		if _, err := ParseDigest(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
