package artifactstest

import (
	"context"
	"errors"
	"fmt"

	"github.com/cspine/cspine/artifacts"
)

// CheckSound returns how many records a store has, and an error that names each one that is damaged, misses, or leads to an object that
// does not hash to what it says.
func CheckSound(ctx context.Context, s *artifacts.Store) (records int, err error) {
	var wrong []error
	for r, err := range s.Records(ctx) {
		records++
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		if _, hit, err := s.Lookup(ctx, r.RecipeDigest); !hit {
			wrong = append(wrong, fmt.Errorf("record %s of %s is no hit: %w", r.RecipeDigest.Short(), r.Recipe.Transform, errors.Join(err, artifacts.ErrNotFound)))
		}
		if _, err := s.Get(ctx, r.Output.Digest); err != nil {
			wrong = append(wrong, fmt.Errorf("record %s of %s: %w", r.RecipeDigest.Short(), r.Recipe.Transform, err))
		}
	}
	return records, errors.Join(wrong...)
}
