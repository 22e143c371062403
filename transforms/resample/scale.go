package resample

import (
	"encoding/json"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms/ingest"
)

// Scale says which values of a volume became black and white: by the grey levels in between a volume can be shown in a window of Hounsfield units.
type Scale struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Grey is the grey level, from 0 to 255 and beyond for what the volume does not have, that a value became, before it was rounded down.
func (s Scale) Grey(value float64) float64 { return (value - s.Low) / (s.High - s.Low + 0.0001) * 255 }

// inHU maps a scale of stored values to Hounsfield units; ok is false if slices that were picked have others each.
func (s Scale) inHU(index *ingest.Index, picked []int) (hu Scale, ok bool) {
	first := index.Slices[picked[0]]
	for _, i := range picked {
		if of := index.Slices[i]; of.Slope != first.Slope || of.Intercept != first.Intercept {
			return s, false
		}
	}
	hu = Scale{s.Low*first.Slope + first.Intercept, s.High*first.Slope + first.Intercept}
	return hu, first.Slope > 0
}

// note is what a volume's record remembers.
type note struct {
	HU *Scale `json:"hu,omitempty"`
}

// ScaleOf returns the scale of a volume in Hounsfield units by its record; ok is false if that does not know it.
func ScaleOf(record artifacts.Record) (hu Scale, ok bool) {
	var n note
	if len(record.Note) == 0 || json.Unmarshal(record.Note, &n) != nil || n.HU == nil {
		return hu, false
	}
	return *n.HU, n.HU.High > n.HU.Low
}
