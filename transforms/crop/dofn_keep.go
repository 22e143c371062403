package crop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/ingest"
)

// KeptTransform is the transform of a crop that stayed although its mask is another.
const KeptTransform = "kept_crop"

// KeepVersion is raised when equal masks may agree otherwise.
const KeepVersion = 1

// keeping finds the crops of a study that stay.
type keeping struct {
	Keep
	r     *transforms.Report
	study transforms.Study
	index *ingest.Index
	// masks are those that were read, by digest.
	masks map[string]*npy.Array
}

// kept returns the samples of an earlier run whose crops stay, by level. Those of a level that was not found then or is not now, that
// come from other slices, or whose crop the store has lost, do not stay.
func (k *keeping) kept(ctx context.Context, levels []*one) (map[int]transforms.Sample, error) {
	if k.Keep == (Keep{}) {
		return nil, nil
	}
	var before []transforms.Sample
	if !k.r.Before(&before) {
		return nil, nil
	}
	stay := map[int]transforms.Sample{}
	for _, l := range levels {
		for _, old := range before {
			if old.Level != l.Level || !l.Found || !old.Found || old.Index != k.study.Index || len(old.Box) != 6 {
				continue
			}
			ok, err := k.keep(ctx, l, old)
			if err != nil {
				return nil, err
			}
			if ok {
				stay[l.Level] = old
			}
		}
	}
	return stay, nil
}

// errApart ends the making of a kept crop whose masks do not agree.
var errApart = errors.New("crop: the masks do not agree")

// keep tells whether the crop of one level stays, and records that.
func (k *keeping) keep(ctx context.Context, l *one, old transforms.Sample) (bool, error) {
	output, ok, err := k.r.BeforePart(ctx, l.name())
	if err != nil || !ok || output.Digest.String() != old.Crop {
		return false, err
	}
	recipe, err := k.recipe(l, old)
	if err != nil {
		return false, err
	}
	err = k.r.Keep(ctx, l.name(), recipe, func(ctx context.Context) (artifacts.Content, string, error) {
		a, err := k.agreement(ctx, l, old)
		if err != nil {
			return artifacts.Content{}, "", err
		}
		if !k.Holds(a) {
			return artifacts.Content{}, "", errApart
		}
		note, err := json.Marshal(a)
		return artifacts.Content{Existing: &output, Note: note}, fmt.Sprintf("kept: %s", a), err
	})
	if errors.Is(err, errApart) {
		return false, nil
	}
	return err == nil, err
}

// recipe names both masks, both boxes, the crop, and what was asked of them.
func (k *keeping) recipe(l *one, old transforms.Sample) (artifacts.Recipe, error) {
	r := artifacts.Recipe{Transform: KeptTransform, Version: KeepVersion, Params: []artifacts.Param{
		{Name: "level", Value: l.name()},
		{Name: "dice", Value: strconv.FormatFloat(k.Dice, 'g', -1, 64)},
		{Name: "box_mm", Value: strconv.FormatFloat(k.BoxMM, 'g', -1, 64)},
		{Name: "was", Value: fmt.Sprint(old.Box)},
		{Name: "is", Value: fmt.Sprint(boxNumbers(l.Box))},
	}}
	for _, in := range []struct{ name, digest string }{{"crop", old.Crop}, {"mask_then", old.Mask}, {"mask_now", k.study.Mask}, {"index", k.study.Index}} {
		d, err := artifacts.ParseDigest(in.digest)
		if err != nil {
			return r, err
		}
		r.Inputs = append(r.Inputs, artifacts.Input{Name: in.name, Digest: d})
	}
	return r, nil
}

func (k *keeping) agreement(ctx context.Context, l *one, old transforms.Sample) (Agreement, error) {
	before, err := k.mask(ctx, old.Mask)
	if err != nil {
		return Agreement{}, err
	}
	now, err := k.mask(ctx, k.study.Mask)
	if err != nil {
		return Agreement{}, err
	}
	was := Box{Level: l.Level, Row: [2]int(old.Box[0:2]), Column: [2]int(old.Box[2:4]), Slice: [2]int(old.Box[4:6])}
	return Agree(before, now, was, l.Box, k.index.Grid(Grid, Grid, Grid).SpacingMM())
}

// mask reads a mask once for all levels.
func (k *keeping) mask(ctx context.Context, digest string) (*npy.Array, error) {
	if m := k.masks[digest]; m != nil {
		return m, nil
	}
	m, err := k.r.Tensor(ctx, digest)
	if err != nil {
		return nil, err
	}
	if len(m.Shape) != 4 || m.Shape[0] != volume.Levels || m.Shape[1] != Grid || m.DType != npy.Uint8 {
		return nil, fmt.Errorf("crop: the mask has shape %v", m.Shape)
	}
	if k.masks == nil {
		k.masks = map[string]*npy.Array{}
	}
	k.masks[digest] = m
	return m, nil
}

func boxNumbers(b Box) []int {
	return []int{b.Row[0], b.Row[1], b.Column[0], b.Column[1], b.Slice[0], b.Slice[1]}
}
