package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/refusal"
)

// pixelDigest is what a file holds, as other readers can be asked for it.
type pixelDigest struct {
	File           string   `json:"file"`
	Part10         bool     `json:"part10"`
	Read           string   `json:"read"` // ok or error
	TransferSyntax string   `json:"transfer_syntax,omitempty"`
	Modality       string   `json:"modality,omitempty"`
	Rows           int      `json:"rows,omitempty"`
	Columns        int      `json:"columns,omitempty"`
	Frames         int      `json:"frames,omitempty"`
	Samples        int      `json:"samples,omitempty"`
	BitsAllocated  int      `json:"bits_allocated,omitempty"`
	BitsStored     int      `json:"bits_stored,omitempty"`
	Representation *int     `json:"pixel_representation,omitempty"` // 0 unsigned, 1 two's complement
	Pixels         string   `json:"pixels,omitempty"`               // ok, none or error
	Shape          []int    `json:"shape,omitempty"`                // of a frame
	FrameSHA256    []string `json:"frame_sha256,omitempty"`
	FrameSum       []any    `json:"frame_sum,omitempty"`
	Code           string   `json:"code,omitempty"` // of the error
	Why            string   `json:"why,omitempty"`
}

// digestedFrames is how many frames of a file are decoded.
const digestedFrames = 4

// digestPixels writes a line for each file: of the stored samples of its first frames, the SHA-256 as int32 little endian (floating point
// ones as float64), and the sum. Folders are gone through. Files come in the order of their names.
func digestPixels(out io.Writer, paths []string, limits dicom.Limits) error {
	type file struct{ name, path string }
	var files []file
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			name := path
			if path != root {
				if name, err = filepath.Rel(root, path); err != nil {
					return err
				}
			}
			files = append(files, file{filepath.ToSlash(name), path})
			return nil
		})
		if err != nil {
			return err
		}
	}
	lines := make([]chan []byte, len(files))
	for i := range lines {
		lines[i] = make(chan []byte, 1)
	}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	go func() {
		for i, f := range files {
			g.Go(func() error {
				line, err := json.Marshal(digestFile(f.name, f.path, limits))
				if err != nil {
					line = fmt.Appendf(nil, `{"file":%q,"read":"error"}`, f.name)
				}
				lines[i] <- line
				return nil
			})
		}
	}()
	for _, line := range lines {
		if _, err := fmt.Fprintf(out, "%s\n", <-line); err != nil {
			return err
		}
	}
	return nil
}

func digestFile(name, path string, limits dicom.Limits) (d pixelDigest) {
	d = pixelDigest{File: name, Read: "error"}
	fail := func(err error) {
		d.Why = err.Error()
		var de *dicom.Error
		if errors.As(err, &de) {
			d.Code = de.Code
		}
	}
	defer func() {
		if p := recover(); p != nil {
			fail(refusal.Recovered(p))
		}
	}()
	if info, err := os.Stat(path); err == nil && info.Size() > limits.WithDefaults().Bytes {
		d.Code, d.Why = dicom.OverLimit, fmt.Sprintf("the file has %d bytes, at most %d are read", info.Size(), limits.WithDefaults().Bytes)
		return d
	}
	file, err := os.ReadFile(path)
	if err != nil {
		fail(err)
		return d
	}
	d.Part10 = len(file) >= 132 && string(file[128:132]) == "DICM"
	h, err := dicom.ReadHeader(bytes.NewReader(file), int64(len(file)), &dicom.Options{HeaderOnly: true, Limits: limits})
	if err != nil {
		fail(err)
		return d
	}
	p := h.Pixels
	d.Read, d.TransferSyntax = "ok", string(p.TransferSyntax)
	if h.Modality != "" {
		d.Modality = dicom.CodeString(h.Modality)
	}
	if p.Offset == 0 {
		d.Pixels = "none"
		return d
	}
	d.Rows, d.Columns, d.Frames, d.Samples, d.BitsAllocated, d.BitsStored = p.Rows, p.Columns, p.Frames, p.Samples, p.BitsAllocated, p.BitsStored
	signed := 0
	if p.Signed {
		signed = 1
	}
	d.Representation, d.Pixels = &signed, "error"
	value, err := p.Value(file)
	if err != nil {
		fail(err)
		return d
	}
	for k := range min(p.Frames, digestedFrames) {
		s, err := dicom.DecodeSamples(value, p, k)
		if err != nil {
			fail(err)
			return d
		}
		digest := s.Digest()
		d.FrameSHA256 = append(d.FrameSHA256, digest.SHA256)
		if p.Float {
			d.FrameSum = append(d.FrameSum, digest.Float)
		} else {
			d.FrameSum = append(d.FrameSum, digest.Int)
		}
	}
	d.Pixels, d.Shape = "ok", []int{p.Rows, p.Columns}
	return d
}
