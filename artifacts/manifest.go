package artifacts

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// Row is one line of a run's manifest: what became of one step of one subject in that run.
//
// A manifest is a Parquet file, zstd inside, that any Parquet reader opens. Its key-value metadata carry
// under cspine.sha256 the SHA-256 sum of the file with that sum's own 64 digits as zeros: manifests decide
// what is kept and what is run again, so a damaged one must not be believed. Digests are hexadecimal text,
// empty where there is none. It must hold no patient data.
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
	// Given stands for all that the step was given for this subject, and Gave is what it handed on, as JSON. A later run whose step
	// is given the same hands on the same, without asking for any artifact. Both are empty where that can't be; Gave stands in one of the
	// step's rows.
	Given string `parquet:"given"`
	Gave  string `parquet:"gave"`
}

// WriteManifest returns the Parquet file of rows, in their order. Equal rows give equal bytes.
func WriteManifest(rows []Row) ([]byte, error) {
	var file bytes.Buffer
	w := parquet.NewGenericWriter[Row](&file, parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		parquet.CreatedBy("cspine", "1", "manifest"), parquet.KeyValueMetadata(sealKey, sealBlank))
	if _, err := w.Write(rows); err != nil {
		return nil, fmt.Errorf("artifacts: write manifest: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("artifacts: write manifest: %w", err)
	}
	sealed := file.Bytes()
	at, ok := findSeal(sealed)
	if !ok {
		return nil, errors.New("artifacts: write manifest: its metadata are not where they should be")
	}
	copy(sealed[at:], sealOf(sealed, at).String())
	return sealed, nil
}

// ReadManifest returns the rows of a manifest that is whole. Columns it does not know are passed over, and
// missing ones are left empty. Its errors wrap ErrCorrupt.
func ReadManifest(file []byte) ([]Row, error) {
	if err := checkSeal(file); err != nil {
		return nil, err
	}
	rows, err := parquet.Read[Row](bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, corrupt("manifest: %v", err)
	}
	return rows, nil
}

// manifestDigests calls see with the digests of every row of a manifest, the zero value where there is none. It holds a few
// rows at a time, for manifests of millions. Its errors wrap ErrCorrupt.
func manifestDigests(file []byte, see func(recipe, output Digest)) error {
	if err := checkSeal(file); err != nil {
		return err
	}
	type names struct {
		Recipe string `parquet:"recipe"`
		Digest string `parquet:"digest"`
	}
	open, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return corrupt("manifest: %v", err)
	}
	rows := parquet.NewGenericReader[names](open)
	defer rows.Close()
	buffer := make([]names, 1024)
	for {
		n, err := rows.Read(buffer)
		for _, row := range buffer[:n] {
			recipe, recipeErr := parseOptional(row.Recipe)
			output, outputErr := parseOptional(row.Digest)
			if err := errors.Join(recipeErr, outputErr); err != nil {
				return corrupt("manifest: %v", err)
			}
			see(recipe, output)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return corrupt("manifest: %v", err)
		}
	}
}

// parseOptional reads a digest that may be left out.
func parseOptional(s string) (Digest, error) {
	if s == "" {
		return Digest{}, nil
	}
	return ParseDigest(s)
}

// checkSeal checks that a manifest's file is as it was written. Its errors wrap ErrCorrupt.
func checkSeal(file []byte) error {
	at, ok := findSeal(file)
	if !ok {
		return corrupt("manifest: it carries no %s: not written by cspine, or damaged", sealKey)
	}
	if string(file[at:at+len(sealBlank)]) != sealOf(file, at).String() {
		return corrupt("manifest: it does not match its %s", sealKey)
	}
	return nil
}

const (
	sealKey   = "cspine.sha256"
	sealBlank = "0000000000000000000000000000000000000000000000000000000000000000"
	// sealHead is what stands before the sum in the file's footer: the key, and in Thrift's compact protocol
	// "next field, text" and its length 64.
	sealHead = sealKey + "\x18\x40"
)

// findSeal returns where the digits of the sum stand. The footer is the last part of the file, so that no
// row can be taken for it.
func findSeal(file []byte) (at int, ok bool) {
	at = bytes.LastIndex(file, []byte(sealHead))
	end := at + len(sealHead) + len(sealBlank)
	return at + len(sealHead), at >= 0 && end <= len(file)
}

// sealOf returns the sum that belongs at a place in a file.
func sealOf(file []byte, at int) Digest {
	h := sha256.New()
	h.Write(file[:at])
	h.Write([]byte(sealBlank))
	h.Write(file[at+len(sealBlank):])
	return Digest(h.Sum(nil))
}
