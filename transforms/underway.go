package transforms

import (
	"context"
	"encoding/json"
	"errors"
	"path"
	"strings"
	"time"

	"github.com/cspine/cspine/artifacts"
)

// UnderWay is how far a run is, as the command that started it says in the store now and then, for those who look on. It names no study.
type UnderWay struct {
	Run     string         `json:"run"`
	ID      string         `json:"id"`
	Begun   time.Time      `json:"begun"`
	Told    time.Time      `json:"told"` // when this was said
	Steps   []StepUnderWay `json:"steps"`
	Refused int            `json:"refused"`
}

// StepUnderWay is how far one step is.
type StepUnderWay struct {
	Step  string `json:"step"`
	Done  int    `json:"done"` // studies, or shards
	Total int    `json:"total"`
	// Computed artifacts took Seconds of work together.
	Computed int     `json:"computed"`
	Seconds  float64 `json:"seconds"`
}

const underWaySuffix = ".underway.json"

// UnderWayKey is where a run says how far it is.
func UnderWayKey(run, id string) string { return path.Join("runs", run, id+underWaySuffix) }

// silent is how long nothing may be heard of a run that is still taken to be under way.
const silent = time.Minute

// SweepUnderWay deletes what runs of a name said that were killed, a day after they last did.
func SweepUnderWay(ctx context.Context, store *artifacts.Store, run string) error {
	files, err := store.ListNamed(ctx, path.Join("runs", run)+"/")
	if err != nil {
		return err
	}
	for _, f := range files {
		if strings.HasSuffix(f.Key, underWaySuffix) && time.Since(f.Modified) > 24*time.Hour {
			if err := store.DeleteNamed(ctx, f.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// RunsUnderWay returns the runs of which something was heard lately.
func RunsUnderWay(ctx context.Context, store *artifacts.Store) (all []UnderWay, err error) {
	files, err := store.ListNamed(ctx, "runs/")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Key, underWaySuffix) || time.Since(f.Modified) > silent {
			continue
		}
		data, err := store.GetNamed(ctx, f.Key)
		if errors.Is(err, artifacts.ErrNotFound) {
			continue // it has ended meanwhile
		}
		if err != nil {
			return nil, err
		}
		var u UnderWay
		if json.Unmarshal(data, &u) == nil {
			all = append(all, u)
		}
	}
	return all, nil
}
