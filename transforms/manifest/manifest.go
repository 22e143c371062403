// Package manifest writes what a run did: a row for every study and step, and the list of the studies
// that went into quarantine.
//
// The manifest must be complete: every outcome that any step reported is a row. It is written once, at
// the end of a run, under runs/<name>/; the rows are sorted, so that equal runs give equal rows
// whatever the order in which they were done.
package manifest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms"
)

func init() {
	register.DoFn2x2[context.Context, artifacts.Row, int, artifacts.Row](&KeyFn{})
	register.DoFn3x0[context.Context, artifacts.Row, func(artifacts.Row)](&QuarantineFn{})
	register.DoFn3x1[context.Context, int, func(*artifacts.Row) bool, error](&WriteFn{})
	register.DoFn3x1[context.Context, int, func(*artifacts.Row) bool, error](&WriteQuarantineFn{})
}

// Dir is the folder of all runs of one name.
func Dir(run string) string { return path.Join("runs", run) }

// Key is the name of one run's manifest. Ids must sort in the order of the runs.
func Key(run, id string) string { return path.Join(Dir(run), id+".parquet") }

// QuarantineKey is the name of one run's list of refused studies.
func QuarantineKey(run, id string) string { return path.Join(Dir(run), id+".quarantine.json") }

// KeyFn brings all rows together.
type KeyFn struct{}

// ProcessElement gives every row the same key.
func (*KeyFn) ProcessElement(_ context.Context, row artifacts.Row) (int, artifacts.Row) {
	return 0, row
}

// QuarantineFn keeps the rows of refused studies.
type QuarantineFn struct{}

// ProcessElement emits the row if its study was refused.
func (*QuarantineFn) ProcessElement(_ context.Context, row artifacts.Row, emit func(artifacts.Row)) {
	if row.Verdict == transforms.Refused {
		emit(row)
	}
}

// WriteFn writes the manifest of a run.
type WriteFn struct {
	transforms.Site
	Run, ID string
}

// ProcessElement takes all rows at once.
func (f *WriteFn) ProcessElement(ctx context.Context, _ int, next func(*artifacts.Row) bool) error {
	data, err := artifacts.WriteManifest(sorted(next))
	if err != nil {
		return fmt.Errorf("manifest of run %s: %w", f.Run, err)
	}
	return f.put(ctx, Key(f.Run, f.ID), data)
}

// WriteQuarantineFn writes the list of refused studies. A run without any writes none.
type WriteQuarantineFn WriteFn

// ProcessElement takes all refused rows at once.
func (f *WriteQuarantineFn) ProcessElement(ctx context.Context, _ int, next func(*artifacts.Row) bool) error {
	type entry struct {
		Study  string `json:"study"`
		Step   string `json:"step"`
		Reason string `json:"reason"`
		Detail string `json:"detail"`
		Remedy string `json:"remedy"`
	}
	var list []entry
	for _, row := range sorted(next) {
		list = append(list, entry{row.Subject, row.Step, row.Reason, row.Detail, row.Remedy})
	}
	data, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	return (*WriteFn)(f).put(ctx, QuarantineKey(f.Run, f.ID), append(data, '\n'))
}

func (f *WriteFn) put(ctx context.Context, key string, data []byte) error {
	store, err := f.OpenStore(ctx)
	if err != nil {
		return err
	}
	return store.PutNamed(ctx, key, data)
}

func sorted(next func(*artifacts.Row) bool) []artifacts.Row {
	var rows []artifacts.Row
	for {
		var row artifacts.Row
		if !next(&row) {
			break
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b artifacts.Row) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(order(a.Step), order(b.Step)), cmp.Compare(a.Part, b.Part),
			cmp.Compare(a.Recipe, b.Recipe), cmp.Compare(a.Reason, b.Reason))
	})
	return rows
}

// order is the place of a step in the pipeline.
func order(step string) int { return slices.Index(Steps, step) }

// Steps lists the steps of all pipelines in the order in which a study passes them.
var Steps = []string{"index", "resample", "segment", "labelmap", "boxes", "crop", "shard", "classify", "verdict", "predict"}
