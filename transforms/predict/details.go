package predict

import (
	"bytes"
	"fmt"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/cspine/cspine/transforms/classify"
)

// The flags of Detail.Flag.
const (
	FlagOK       = "ok"
	FlagNotFound = "not_found" // nothing was found to look at: Probability is the prior
	FlagRefused  = "refused:"  // and a reason code; Probability is the prior
)

// Detail is a row of predictions.parquet: one target of one study, with what its answer comes from. Lists are empty where there is nothing to
// tell. Rows are sorted by study, and by target as in a submission.
type Detail struct {
	Study       string  `parquet:"study_uid,dict"`
	Target      string  `parquet:"target,dict"` // C1 … C7, patient_overall
	Probability float64 `parquet:"probability"` // as in the submission
	Flag        string  `parquet:"flag,dict"`
	// Slices are the vertebra's probabilities by slice, the mean over classifiers, before calibration; ZPositions the study's slices,
	// head to foot.
	Slices     []float64 `parquet:"slice_probabilities,list"`
	ZPositions []int32   `parquet:"z_positions,list"`
	// Box and SourceBox are half-open ranges of rows, columns and slices, as in crop shards.
	Box       []int32 `parquet:"box,list"`
	SourceBox []int32 `parquet:"source_box,list"`
	// Models are the digests of the classifiers, and Alone what each would have answered alone.
	Models []string  `parquet:"model_digests,list"`
	Alone  []float64 `parquet:"model_probabilities,list"`
}

// The schema version of predictions.parquet, in its key-value metadata.
const (
	DetailsVersion    = "1"
	DetailsVersionKey = "cspine.predictions.version"
)

// entry is one study of a run: its verdict, or why there is none.
type entry struct {
	Study  string
	P      [classify.Targets]float64
	Paper  *verdictPaper
	Reason string
}

// details are the entry's rows.
func (e entry) details(models []string) []Detail {
	rows := make([]Detail, classify.Targets)
	none := true
	for t := range rows {
		d := &rows[t]
		*d = Detail{Study: e.Study, Target: classify.TargetName(t), Probability: e.P[t], Flag: FlagOK, Models: models}
		if e.Paper == nil {
			d.Flag = FlagRefused + e.Reason
			continue
		}
		for _, alone := range e.Paper.Alone {
			d.Alone = append(d.Alone, alone[t])
		}
		if t == classify.PatientTarget {
			continue
		}
		l := e.Paper.Levels[t]
		if !l.Found {
			d.Flag = FlagNotFound
			continue
		}
		none = false
		d.Slices, d.ZPositions, d.Box, d.SourceBox = l.Slices, narrow(l.ZPositions), narrow(l.Box), narrow(l.SourceBox)
	}
	if e.Paper != nil && none {
		rows[classify.PatientTarget].Flag = FlagNotFound
	}
	return rows
}

func narrow(list []int) []int32 {
	out := make([]int32, len(list))
	for i, v := range list {
		out[i] = int32(v)
	}
	return out
}

// writeDetails returns predictions.parquet. Equal entries and files give equal bytes.
func writeDetails(entries []entry, files []classify.File) ([]byte, error) {
	var models []string
	for _, f := range files {
		models = append(models, f.Digest)
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[Detail](&out, parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		parquet.CreatedBy("cspine", "1", "predictions"), parquet.KeyValueMetadata(DetailsVersionKey, DetailsVersion))
	for _, e := range entries {
		if _, err := w.Write(e.details(models)); err != nil {
			return nil, fmt.Errorf("predict: details of study %s: %w", e.Study, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("predict: details: %w", err)
	}
	return out.Bytes(), nil
}

// ReadDetails reads predictions.parquet.
func ReadDetails(file []byte) (rows []Detail, err error) {
	defer func() { // the library panics on some damaged files
		if p := recover(); p != nil {
			rows, err = nil, fmt.Errorf("predict: details: damaged")
		}
	}()
	rows, err = parquet.Read[Detail](bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, fmt.Errorf("predict: details: %w", err)
	}
	return rows, nil
}
