package artifacts

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Recipe is what was asked: which transform, in which version, with which parameters, of which inputs.
//
// Two recipes are one if and only if their digests are equal. A recipe must name everything its output
// depends on and nothing else: whatever is left out makes a wrong hit, whatever is named in vain a
// needless miss. It must hold no patient data, since records keep it as it is.
type Recipe struct {
	Transform string `json:"transform"`
	// Version is raised by hand whenever the transform's code gives other bytes for the same inputs.
	Version int     `json:"version"`
	Params  []Param `json:"params,omitempty"` // a set: their order says nothing
	Inputs  []Input `json:"inputs,omitempty"` // a sequence: their order counts
}

// Param is one setting of a transform, its value written the one way its transform writes it.
type Param struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Input is one artifact, or one outside source, that a transform reads: named by content, so that an
// input made anew with the same bytes changes no recipe.
type Input struct {
	Name   string `json:"name"`
	Digest Digest `json:"digest"`
}

// recipeSalt opens every encoded recipe. It must change whenever the encoding does, so that recipes of
// two encodings never meet.
const recipeSalt = "cspine recipe 1\n"

// Digest returns the SHA-256 sum of the recipe's canonical encoding.
func (r Recipe) Digest() Digest { return DigestOf(r.encode()) }

// Validate reports why a recipe cannot be stored: no transform, a parameter named twice, or text that is
// not UTF-8 and so would not survive the record's JSON.
func (r Recipe) Validate() error {
	if r.Transform == "" {
		return errors.New("artifacts: recipe names no transform")
	}
	texts := []string{r.Transform}
	seen := make(map[string]bool, len(r.Params))
	for _, p := range r.Params {
		if seen[p.Name] {
			return fmt.Errorf("artifacts: recipe of %s has parameter %q twice", r.Transform, p.Name)
		}
		seen[p.Name] = true
		texts = append(texts, p.Name, p.Value)
	}
	for _, in := range r.Inputs {
		texts = append(texts, in.Name)
	}
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return fmt.Errorf("artifacts: recipe of %q has text that is not UTF-8", r.Transform)
		}
	}
	return nil
}

// encode writes the canonical form. Every text goes behind its length and every list behind its count, so
// that no two recipes have one encoding.
func (r Recipe) encode() []byte {
	b := append(make([]byte, 0, 512), recipeSalt...)
	b = appendText(b, r.Transform)
	b = binary.AppendVarint(b, int64(r.Version))
	b = binary.AppendUvarint(b, uint64(len(r.Params)))
	for _, p := range sortedParams(r.Params) {
		b = appendText(b, p.Name)
		b = appendText(b, p.Value)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Inputs)))
	for _, in := range r.Inputs {
		b = appendText(b, in.Name)
		b = append(b, in.Digest[:]...)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// sortedParams returns params by name, then value; it leaves its argument as it is.
func sortedParams(params []Param) []Param {
	order := func(a, b Param) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value))
	}
	if slices.IsSortedFunc(params, order) {
		return params
	}
	return slices.SortedFunc(slices.Values(params), order)
}
