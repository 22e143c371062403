package load

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/augment"
)

// Case is what a classifier learns from, or is measured on: one vertebra, or a patient with all seven. It holds raw crops; its slices are
// shared unless whoever made it says otherwise.
type Case struct {
	// Study names it, and Level the vertebra from 0, or −1 for a patient.
	Study string
	Level int
	Fold  int
	// Crops has one vertebra's crop, or seven in order: uint8 [15, 6, Edge, Edge]. Nil is a vertebra that was not found.
	Crops [][]uint8
	// Edge is the length of a slice's sides in pixels.
	Edge int
	// Labels says of each crop whether the vertebra is fractured (1) or not (0). Unknown is what nobody said, and what was not found.
	Labels []int8
	// Patient is the same of the patient.
	Patient int8
}

// Unknown is the label that nobody gave.
const Unknown int8 = -1

// Cases reads crops as cases.
type Cases struct {
	set   *CropDataset
	edge  int
	items []item // sorted by study and level
	// unknown is how many cases were left out.
	unknown int
}

// item is a case before it is read.
type item struct{ study, level int }

// ByVertebra makes a case of each crop, with slices of edge by edge pixels: the stored size divided by a whole number, each pixel the
// mean of its block (resize.Blocks); 0 is the stored size. Crops whose label is not known are left out.
func (c *Crops) ByVertebra(edge int) (*Cases, error) {
	return c.cases(edge, func(study int, s *cropStudy) (items []item, unknown int) {
		for level, row := range s.rows {
			switch {
			case row >= 0 && s.labels[level] != Unknown:
				items = append(items, item{study, level})
			case row >= 0:
				unknown++
			}
		}
		return items, unknown
	})
}

// ByPatient makes a case of each study, with the crops of the vertebrae that were found. Edge is as for ByVertebra. Studies of which no
// label is known, neither of a crop nor of the patient, are left out.
func (c *Crops) ByPatient(edge int) (*Cases, error) {
	return c.cases(edge, func(study int, s *cropStudy) ([]item, int) {
		if s.patient == Unknown && !slices.ContainsFunc(s.labels[:], func(l int8) bool { return l != Unknown }) {
			return nil, 1
		}
		return []item{{study, -1}}, 0
	})
}

func (c *Crops) cases(edge int, of func(int, *cropStudy) ([]item, int)) (*Cases, error) {
	stored := c.set.edge
	if edge == 0 {
		edge = stored
	}
	if stored > 0 && (edge < 1 || stored%edge != 0) {
		return nil, fmt.Errorf("data set %s has slices of %d x %d pixels, which do not become %d x %d: the side must be a whole fraction", c.set.name, stored, stored, edge, edge)
	}
	cs := &Cases{set: c.set, edge: edge}
	for _, k := range c.chosen {
		items, unknown := of(k, &c.set.studies[k])
		cs.items = append(cs.items, items...)
		cs.unknown += unknown
	}
	return cs, nil
}

// Len returns the number of cases.
func (c *Cases) Len() int { return len(c.items) }

// Unknown returns how many crops or studies were left out, since their labels are not known.
func (c *Cases) Unknown() int { return c.unknown }

// List returns all cases without their crops (Crops has nils only), sorted by study and level. It reads nothing.
func (c *Cases) List() []Case {
	list := make([]Case, len(c.items))
	for i, it := range c.items {
		list[i] = c.describe(it)
	}
	return list
}

// describe makes a case without its crops.
func (c *Cases) describe(it item) Case {
	s := &c.set.studies[it.study]
	one := Case{Study: s.UID, Level: it.level, Fold: s.Fold, Edge: c.edge, Patient: s.patient}
	if it.level >= 0 {
		one.Crops, one.Labels = make([][]uint8, 1), []int8{s.labels[it.level]}
	} else {
		one.Crops, one.Labels = make([][]uint8, volume.Levels), slices.Clone(s.labels[:])
	}
	return one
}

// Order returns the order of an epoch as indices into List: a permutation drawn by seed and epoch.
func (c *Cases) Order(seed uint64, epoch int) []int { return shuffled(c.Len(), seed, epoch) }

// Epoch iterates over the cases in the epoch's order, from the skip-th on. The crops are shared and must not be changed; they stay as
// they are for as long as they are kept. The first error ends the iteration; so does the end of ctx.
func (c *Cases) Epoch(ctx context.Context, seed uint64, epoch, skip int) iter.Seq2[*Case, error] {
	return c.read(ctx, c.Order(seed, epoch), skip, nil)
}

// Augmented iterates as Epoch does over cases that their seeds have changed, as many at a time as there are readers: the patient's
// vertebrae (augment.Slices.Bones) by s = augment.Seed(seed, epoch, study), each crop by augment.Part(s, level). Labels go where their
// crops go. Crops are the case's own.
func (c *Cases) Augmented(ctx context.Context, o augment.Slices, seed uint64, epoch, skip int) iter.Seq2[*Case, error] {
	return c.read(ctx, c.Order(seed, epoch), skip, func(one *Case) error {
		return one.augment(&o, augment.Seed(seed, epoch, one.Study))
	})
}

// Sorted iterates over the cases once, in the order of List, as Epoch does.
func (c *Cases) Sorted(ctx context.Context) iter.Seq2[*Case, error] {
	return c.read(ctx, sorted(c.Len()), 0, nil)
}

// augment changes a case by options.
func (c *Case) augment(o *augment.Slices, seed uint64) error {
	if c.Level < 0 {
		found := make([]bool, len(c.Crops))
		for k, crop := range c.Crops {
			found[k] = crop != nil
		}
		order, dropped := o.Bones(found, seed)
		if dropped >= 0 {
			c.Crops[dropped], c.Labels[dropped] = nil, Unknown
		}
		defer c.arrange(order)
	}
	for k, crop := range c.Crops {
		if crop == nil {
			continue
		}
		var err error
		if c.Crops[k], err = o.Apply(nil, crop, c.Edge, augment.Part(seed, max(c.Level, k))); err != nil {
			return err
		}
	}
	return nil
}

// arrange puts the vertebra order[k] in place k.
func (c *Case) arrange(order []int) {
	crops, labels := slices.Clone(c.Crops), slices.Clone(c.Labels)
	for k, from := range order {
		c.Crops[k], c.Labels[k] = crops[from], labels[from]
	}
}

// read iterates over cases in an order, from the skip-th on, each changed by change if there is one.
func (c *Cases) read(ctx context.Context, order []int, skip int, change func(*Case) error) iter.Seq2[*Case, error] {
	where := func(i int, err error) error { return c.set.of(c.set.studies[c.items[i].study].UID, err) }
	return ahead(ctx, c.set.opts, order, skip, func(i int) (*Case, error) {
		it := c.items[i]
		one := c.describe(it)
		for k := range one.Crops {
			level := max(it.level, k)
			if c.set.studies[it.study].rows[level] < 0 {
				continue
			}
			var err error
			if one.Crops[k], err = c.set.crop(it.study, level, c.edge); err != nil {
				return nil, err
			}
		}
		if change != nil {
			if err := change(&one); err != nil {
				return nil, where(i, err)
			}
		}
		return &one, nil
	}, where)
}
