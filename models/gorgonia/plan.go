package gorgonia

import (
	"cmp"
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"
)

// region is memory with one lifetime: values that are views of each other, or take each other's place, share one.
// A region that went into another one knows where.
type region struct {
	size   int
	into   *region
	at     int // the first element in into
	source source
	index  int // of the source's kind
	// first and last are the steps of the lifetime. last is −1 where nothing reads it.
	first, last int
	offset      int // in the arena
}

// source says what a region's memory is.
type source int

const (
	arena    source = iota
	weight          // a parameter's values
	gradient        // a parameter's gradient
	fixed           // a statistic or constant
	given           // the caller's slice of an input
	wanted          // the caller's slice of an output
)

// place is where a value lies.
type place struct {
	region *region
	at     int
	size   int
}

// root returns the place in the region that took all others in.
func (p place) root() place {
	for p.region.into != nil {
		p.at += p.region.at
		p.region = p.region.into
	}
	return p
}

func (r *region) merge(into place) { r.into, r.at = into.region, into.at }

// step is one call of a kernel.
type step struct {
	name    string
	kernel  routine
	in, out []place
	shape   []int // of the first result
	after   []int // the steps that made the inputs
	inPlace []int
	joined  bool
}

// plan is the order of the steps of a graph and the memory of every value.
type plan struct {
	steps   []*step
	regions []*region
	size    int // of the arena, in elements

	// What planning needs, and nothing after it.
	places map[*G.Node]place
	makers map[*G.Node]int // the step that a node's value comes from
	parts  map[*G.Node][]place
}

// want is a value that must lie in memory from outside when all is done.
type want struct {
	node   *G.Node
	source source
	index  int
}

// newPlan orders what the wanted nodes need, by their age: Gorgonia makes a gradient when it has been through all that comes after
// it, so that a node's age is an order of execution, and one in which gradients are used soon after they are made. inputs says what
// the graph's inputs are.
func newPlan(inputs map[*G.Node]want, wanted []want) *plan {
	p := &plan{places: map[*G.Node]place{}, makers: map[*G.Node]int{}, parts: map[*G.Node][]place{}}
	for n, w := range inputs {
		p.places[n] = place{&region{size: size(n.Shape()), source: w.source, index: w.index, first: -1, last: -1}, 0, size(n.Shape())}
		p.makers[n] = -1
	}
	needed := map[*G.Node]bool{}
	var order []*G.Node
	stack := []*G.Node{}
	for _, w := range wanted {
		stack = append(stack, w.node)
	}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if needed[n] {
			continue
		}
		needed[n] = true
		order = append(order, n)
		stack = append(stack, operands(n)...)
	}
	slices.SortFunc(order, func(a, b *G.Node) int { return cmp.Compare(a.ID(), b.ID()) })
	all, spared := sums(order, wanted)
	for _, n := range order {
		if _, ok := p.places[n]; !ok && !spared[n] {
			p.add(n, all)
		}
	}
	p.claim(wanted)
	p.liveness()
	p.join()
	p.reuse()
	p.layOut()
	p.places, p.makers, p.parts = nil, nil, nil // the symbolic graph is done with
	return p
}

// operands returns what a node is computed from.
func operands(n *G.Node) []*G.Node {
	switch f := n.Op().(type) {
	case nil:
		return nil
	case *formula:
		return f.in
	}
	var in []*G.Node
	for it := n.Graph().From(n.ID()); it.Next(); {
		in = append(in, it.Node().(*G.Node))
	}
	return in
}

// isSum tells whether a node is Gorgonia's own sum of two gradients of one value. Its kernel would keep memory of its own.
func isSum(n *G.Node) bool {
	if n.Op() == nil {
		return false
	}
	_, ours := n.Op().(*formula)
	return !ours && len(operands(n)) == 2
}

// sum is what becomes of sums of gradients.
type sum struct {
	terms []*G.Node // left to right; nil where another sum has taken them in
	parts bool      // the terms are the parts of the result, one after the other
}

// sums returns what becomes of each sum, and which other nodes are then not needed.
func sums(order []*G.Node, wanted []want) (all map[*G.Node]*sum, spared map[*G.Node]bool) {
	readers := map[*G.Node]int{}
	for _, n := range order {
		for _, in := range operands(n) {
			readers[in]++
		}
	}
	for _, w := range wanted {
		readers[w.node]++
	}
	all, spared = map[*G.Node]*sum{}, map[*G.Node]bool{}
	for _, n := range order {
		if !isSum(n) {
			continue
		}
		s := &sum{}
		for _, in := range operands(n) {
			if inner := all[in]; inner != nil && readers[in] == 1 {
				s.terms = append(s.terms, inner.terms...)
				inner.terms = nil
			} else {
				s.terms = append(s.terms, in)
			}
		}
		all[n] = s
	}
	for n, s := range all {
		if parts := partition(n, s.terms, readers); parts != nil {
			for _, t := range s.terms {
				spared[t] = true
			}
			s.terms, s.parts = parts, true
		}
	}
	return all, spared
}

// partition returns the parts that a sum is put together of, in order, where its terms are the gradients of slices that share the whole value
// out among them; nil otherwise. Split and the reordering of gates are such.
func partition(n *G.Node, terms []*G.Node, readers map[*G.Node]int) []*G.Node {
	type part struct {
		at, size int
		node     *G.Node
	}
	var parts []part
	for _, t := range terms {
		f, ok := t.Op().(*formula)
		if !ok || f.within == nil || readers[t] != 1 {
			return nil
		}
		parts = append(parts, part{*f.within, size(f.in[0].Shape()), f.in[0]})
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.at, b.at) })
	at := 0
	var nodes []*G.Node
	for _, p := range parts {
		if p.at != at {
			return nil
		}
		at += p.size
		nodes = append(nodes, p.node)
	}
	if at != size(n.Shape()) {
		return nil
	}
	return nodes
}

// add gives a node its place, and its step where it needs one.
func (p *plan) add(n *G.Node, all map[*G.Node]*sum) {
	if s := all[n]; s != nil {
		switch {
		case s.parts:
			p.step(n, &formula{name: "joined gradients", outs: [][]int{n.Shape()}, kernel: joinParts, joined: true, in: s.terms})
		case s.terms != nil:
			inPlace := make([]int, len(s.terms))
			for i := range inPlace {
				inPlace[i] = i
			}
			p.step(n, &formula{name: "sum of gradients", outs: [][]int{n.Shape()}, kernel: addAll, inPlace: inPlace, in: s.terms})
		}
		return
	}
	f, ok := n.Op().(*formula)
	switch {
	case !ok && n.Op() != nil && len(operands(n)) == 0:
		// The gradient of the loss by itself.
		p.step(n, &formula{name: "one", outs: [][]int{{}}, kernel: one})
	case !ok:
		fail("gorgonia: node %v is neither an input nor an operation of ours", n)
	case f.view != nil:
		of := p.places[f.in[0]]
		p.places[n] = place{of.region, of.at + *f.view, size(f.outs[0])}
		p.makers[n] = p.makers[f.in[0]]
	case f.part > 0:
		p.places[n] = p.parts[f.in[0]][f.part]
		p.makers[n] = p.makers[f.in[0]]
	default:
		p.step(n, f)
	}
}

func (p *plan) step(n *G.Node, f *formula) {
	s := &step{name: f.name, kernel: f.kernel, shape: ranked(f.outs[0]), inPlace: f.inPlace, joined: f.joined}
	for i, in := range f.in {
		s.in = append(s.in, p.places[in])
		if f.reads != nil && !f.reads[i] {
			s.in[i] = place{}
		}
		if m := p.makers[in]; m >= 0 && !slices.Contains(s.after, m) {
			s.after = append(s.after, m)
		}
	}
	k := len(p.steps)
	for _, shape := range f.outs {
		r := &region{size: size(shape), first: k, last: -1}
		p.regions = append(p.regions, r)
		s.out = append(s.out, place{r, 0, r.size})
	}
	p.places[n], p.parts[n], p.makers[n] = s.out[0], s.out, k
	p.steps = append(p.steps, s)
}

// claim puts wanted values where they are wanted, by a copy where their memory is another's too.
func (p *plan) claim(wanted []want) {
	for _, w := range wanted {
		at := p.places[w.node].root()
		r := at.region
		if r.source != arena || at.at != 0 || at.size != r.size {
			s := &step{name: "copy", kernel: copyFirst, in: []place{at}, shape: ranked(w.node.Shape())}
			if m := p.makers[w.node]; m >= 0 {
				s.after = []int{m}
			}
			r = &region{size: at.size, first: len(p.steps), last: -1}
			s.out = []place{{r, 0, at.size}}
			p.steps = append(p.steps, s)
		}
		r.source, r.index = w.source, w.index
	}
}

// liveness finds the last reader of every region.
func (p *plan) liveness() {
	for k, s := range p.steps {
		for _, in := range s.in {
			if in.region != nil {
				r := in.root().region
				r.last = max(r.last, k)
			}
		}
	}
}

// join lets the parts of a concatenation be made where they belong. The kernel copies those that could not be.
func (p *plan) join() {
	for _, s := range p.steps {
		if !s.joined {
			continue
		}
		at := s.out[0]
		for _, in := range s.in {
			from, to := in.root(), place{at.region, at.at, in.size}.root()
			at.at += in.size
			if from.region.source != arena || from.region == to.region || from.at != 0 || from.size != from.region.size {
				continue
			}
			to.region.first = min(to.region.first, from.region.first)
			to.region.last = max(to.region.last, from.region.last)
			from.region.merge(to)
		}
	}
}

// reuse lets results take the place of inputs that nothing reads any more.
func (p *plan) reuse() {
	for k, s := range p.steps {
		to := s.out[0].root()
		for _, i := range s.inPlace {
			if s.in[i].region == nil {
				continue
			}
			from := s.in[i].root()
			if from.region.source != arena || from.region == to.region || from.region.last != k || from.at != 0 ||
				from.size != from.region.size || from.size != to.size || s.readsTwice(i) {
				continue
			}
			to.region.first = min(to.region.first, from.region.first)
			to.region.last = max(to.region.last, from.region.last)
			from.region.merge(to)
			break
		}
	}
}

// readsTwice tells whether another input lies in the same region as the i-th.
func (s *step) readsTwice(i int) bool {
	for j, in := range s.in {
		if j != i && in.region != nil && in.root().region == s.in[i].root().region {
			return true
		}
	}
	return false
}

// align is the number of elements to whose multiples regions are laid out: a cache line.
const align = 16

// layOut gives every region of the arena an offset: the largest first, each as low as no region that lives at the same time
// forbids (greedy by size; Pisarchyk and Lee, arXiv 2001.03288).
func (p *plan) layOut() {
	var live []*region
	for _, r := range p.regions {
		if r.into == nil && r.source == arena && r.size > 0 {
			r.last = max(r.last, r.first)
			live = append(live, r)
		}
	}
	slices.SortStableFunc(live, func(a, b *region) int { return cmp.Compare(b.size, a.size) })
	var placed []*region // by offset
	for _, r := range live {
		best, gap, end := -1, 0, 0
		for _, o := range placed {
			if o.last < r.first || r.last < o.first {
				continue
			}
			if room := o.offset - end; room >= r.size && (best < 0 || room < gap) {
				best, gap = end, room
			}
			end = max(end, (o.offset+o.size+align-1)/align*align)
		}
		if best < 0 {
			best = end
		}
		r.offset = best
		p.size = max(p.size, r.offset+r.size)
		i, _ := slices.BinarySearchFunc(placed, r, func(a, b *region) int { return cmp.Compare(a.offset, b.offset) })
		placed = slices.Insert(placed, i, r)
	}
}

func (s *step) String() string { return fmt.Sprintf("%s %v", s.name, s.shape) }
