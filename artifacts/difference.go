package artifacts

import (
	"slices"
	"strconv"
)

// Difference is one thing in which two recipes differ. Old or New is empty where one of them does not have it.
type Difference struct {
	Kind     string // "transform", "version", "param" or "input"
	Name     string // of the parameter or input
	Old, New string // values; of inputs the digests
}

// The kinds of Difference.
const (
	DifferentTransform = "transform"
	DifferentVersion   = "version"
	DifferentParam     = "param"
	DifferentInput     = "input"
)

// Differences lists in what a recipe differs from an older one: transform, version, parameters by name, inputs by name and, among
// those of one name, by place. Equal inputs in another order are one Difference, named "order".
func (r Recipe) Differences(old Recipe) []Difference {
	var all []Difference
	add := func(kind, name, before, now string) {
		if before != now {
			all = append(all, Difference{kind, name, before, now})
		}
	}
	add(DifferentTransform, "", old.Transform, r.Transform)
	add(DifferentVersion, "", strconv.Itoa(old.Version), strconv.Itoa(r.Version))
	before := map[string]string{}
	for _, p := range old.Params {
		before[p.Name] = p.Value
	}
	for _, p := range sortedParams(r.Params) {
		add(DifferentParam, p.Name, before[p.Name], p.Value)
		delete(before, p.Name)
	}
	for _, p := range sortedParams(old.Params) {
		add(DifferentParam, p.Name, before[p.Name], "")
	}
	was, is := byName(old.Inputs), byName(r.Inputs)
	for _, name := range inputNames(r.Inputs, old.Inputs) {
		for i := range max(len(was[name]), len(is[name])) {
			add(DifferentInput, name, at(was[name], i), at(is[name], i))
		}
	}
	if len(all) == 0 && !slices.Equal(r.Inputs, old.Inputs) {
		add(DifferentInput, "order", "", "other")
	}
	return all
}

func byName(inputs []Input) map[string][]Digest {
	m := map[string][]Digest{}
	for _, in := range inputs {
		m[in.Name] = append(m[in.Name], in.Digest)
	}
	return m
}

// inputNames lists the names in lists once, in the order in which they come.
func inputNames(lists ...[]Input) (names []string) {
	seen := map[string]bool{}
	for _, list := range lists {
		for _, in := range list {
			if !seen[in.Name] {
				seen[in.Name] = true
				names = append(names, in.Name)
			}
		}
	}
	return names
}

func at(digests []Digest, i int) string {
	if i < len(digests) {
		return digests[i].String()
	}
	return ""
}
