package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// leaks is what tells one fold of another: a model that is judged by studies that it has learned from looks better than it is.
type leaks struct {
	// Folds are studies that lie in several folds, Volumes studies that have one volume, and Crops others that have crops in common.
	Folds, Volumes, Crops []leak
	// Compared is of how many studies volumes are known.
	Compared int
}

// leak is one case.
type leak struct {
	Studies []leaked
	Shared  int  // crops
	Apart   bool // they lie in several folds
}

// What says what is doubled.
func (l leak) What() string {
	switch {
	case len(l.Studies) == 1:
		return "a study in several folds"
	case l.Shared == 0:
		return fmt.Sprintf("one volume under %d names", len(l.Studies))
	}
	return fmt.Sprintf("%s under %d names", plural(l.Shared, "crop", "crops"), len(l.Studies))
}

// Meaning says what comes of it.
func (l leak) Meaning() string {
	if l.Apart {
		return "what is held out is learned from, too"
	}
	return fmt.Sprintf("all in one fold: it counts %d times", len(l.Studies))
}

// leaked is a study of a case.
type leaked struct {
	Study, Path string // "" without a page
	Folds       []int
}

// All are all cases.
func (l leaks) All() []leak { return slices.Concat(l.Folds, l.Volumes, l.Crops) }

// None tells that there is no case.
func (l leaks) None() bool { return len(l.All()) == 0 }

// leaksOf looks for studies that are the same under two names, or in two folds.
func leaksOf(read contents, volumes map[string]string, r *run) leaks {
	folds := map[string][]int{}
	var all leaks
	caseOf := func(uids []string, shared int) leak {
		l := leak{Shared: shared}
		in := map[int]bool{}
		for _, uid := range uids {
			of := leaked{Study: uid, Folds: folds[uid]}
			if r != nil && r.byName[uid] != nil {
				of.Path = r.Path() + "/studies" + href(uid)
			}
			for _, fold := range folds[uid] {
				in[fold] = true
			}
			l.Studies = append(l.Studies, of)
		}
		l.Apart = len(in) > 1
		return l
	}
	byVolume, byCrop := map[string][]string{}, map[string][]string{}
	for _, of := range read.Studies {
		folds[of.UID] = of.Folds
		if v := volumes[of.UID]; v != "" {
			all.Compared++
			byVolume[v] = append(byVolume[v], of.UID)
		}
		for _, crop := range of.Crops {
			if list := byCrop[crop]; crop != "" && (len(list) == 0 || list[len(list)-1] != of.UID) {
				byCrop[crop] = append(list, of.UID)
			}
		}
	}
	for _, of := range read.Studies {
		if len(of.Folds) > 1 {
			all.Folds = append(all.Folds, caseOf([]string{of.UID}, 0))
		}
	}
	listed := map[string]bool{}
	for _, uids := range byVolume {
		if len(uids) > 1 {
			listed[strings.Join(uids, "\n")] = true
			all.Volumes = append(all.Volumes, caseOf(uids, 0))
		}
	}
	shared := map[string]int{}
	for _, uids := range byCrop {
		if key := strings.Join(uids, "\n"); len(uids) > 1 && !listed[key] {
			shared[key]++
		}
	}
	for key, n := range shared {
		all.Crops = append(all.Crops, caseOf(strings.Split(key, "\n"), n))
	}
	for _, list := range [][]leak{all.Volumes, all.Crops} {
		slices.SortFunc(list, func(a, b leak) int { return cmp.Compare(a.Studies[0].Study, b.Studies[0].Study) })
	}
	return all
}
