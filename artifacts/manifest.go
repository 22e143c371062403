package artifacts

import (
	"bytes"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// Row is one line of a run's manifest: what became of one step of one subject in that run.
//
// A manifest is a Parquet file, zstd inside, that any Parquet reader opens. Digests are hexadecimal text
// and empty where there is none. It must hold no patient data.
type Row struct {
	Subject   string  `parquet:"subject,dict"`   // what was worked on: a study
	Part      string  `parquet:"part,dict"`      // which part of it, "" for the whole: a vertebra
	Step      string  `parquet:"step,dict"`      // the step of the pipeline
	Transform string  `parquet:"transform,dict"` // as in the recipe
	Version   int     `parquet:"version"`        // as in the recipe
	Recipe    string  `parquet:"recipe"`         // the recipe's digest
	Digest    string  `parquet:"digest"`         // the output's digest
	Hit       bool    `parquet:"hit"`            // nothing was computed
	Why       string  `parquet:"why,dict"`       // why it was
	Seconds   float64 `parquet:"seconds"`        // computing it took, in this run or the one that did
	Bytes     int64   `parquet:"bytes"`          // size of the output
	Stored    int64   `parquet:"stored"`         // bytes it takes in the store
	Verdict   string  `parquet:"verdict,dict"`   // how it ended
	Reason    string  `parquet:"reason,dict"`    // if not well: a reason code,
	Detail    string  `parquet:"detail,dict"`    // what exactly,
	Remedy    string  `parquet:"remedy,dict"`    // and what to do
}

// WriteManifest returns the Parquet file of rows, in their order. Equal rows give equal bytes.
func WriteManifest(rows []Row) ([]byte, error) {
	var file bytes.Buffer
	w := parquet.NewGenericWriter[Row](&file, parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		parquet.CreatedBy("cspine", "1", "manifest"))
	if _, err := w.Write(rows); err != nil {
		return nil, fmt.Errorf("artifacts: write manifest: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("artifacts: write manifest: %w", err)
	}
	return file.Bytes(), nil
}

// ReadManifest returns the rows of a manifest. Columns it does not know are passed over, and missing ones
// are left empty. Its errors wrap ErrCorrupt.
func ReadManifest(file []byte) (rows []Row, err error) {
	defer func() {
		// The Parquet library panics on some damaged files.
		if p := recover(); p != nil {
			rows, err = nil, corrupt("manifest: %v", p)
		}
	}()
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, corrupt("manifest: %v", err)
	}
	r := parquet.NewGenericReader[Row](f)
	defer r.Close()
	for batch := make([]Row, 1024); ; {
		n, err := r.Read(batch)
		rows = append(rows, batch[:n]...)
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return nil, corrupt("manifest: %v", err)
		}
		if n == 0 {
			return nil, corrupt("manifest: it ends early")
		}
	}
}
