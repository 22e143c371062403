package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/transforms/ingest"
)

// dicomReport is what inspect says of a DICOM file.
type dicomReport struct {
	Verdict dicomVerdict `json:"verdict"`
	// What follows is nil where the header can't be read, or the first frame not decoded.
	Modality    string             `json:"modality,omitempty"`
	Pixels      *dicom.PixelFormat `json:"pixels,omitempty"`
	SpacingMM   *[2]float64        `json:"spacing_mm,omitempty"` // between rows, between columns
	ThicknessMM float64            `json:"thickness_mm,omitempty"`
	TiltDegrees float64            `json:"gantry_tilt_degrees,omitempty"`
	PositionMM  *[3]float64        `json:"position_mm,omitempty"`
	Orientation *[6]float64        `json:"orientation,omitempty"`
	Slope       float64            `json:"slope,omitempty"`
	Intercept   float64            `json:"intercept,omitempty"`
	Stored      *valueRange        `json:"stored_values,omitempty"`
	HU          *valueRange        `json:"hu,omitempty"` // of CT

	Elements []dicom.Element `json:"elements"`
	// Unlisted says why the list of elements ends before the file does.
	Unlisted string `json:"unlisted,omitempty"`
}

// dicomVerdict is "usable", or the reason code for which a file is no slice of a study.
type dicomVerdict struct {
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

const usable = "usable"

// valueRange sums up the values of a frame.
type valueRange struct {
	Least    float64 `json:"least"`
	Greatest float64 `json:"greatest"`
	Mean     float64 `json:"mean"`
}

func dicomCode(err error) string {
	if de, ok := errors.AsType[*dicom.Error](err); ok {
		return de.Code
	}
	return ""
}

// dicom reports on a DICOM file, and returns a picture of its first frame where that can be decoded. What is no DICOM file at all is an error.
func (n *inspectFlags) dicom(out io.Writer, data []byte) (image.Image, error) {
	file, size := bytes.NewReader(data), int64(len(data))
	var r dicomReport
	elements, err := dicom.Elements(file, size, n.showValues, n.limits)
	if code := dicomCode(err); code == dicom.Empty || code == dicom.NotDICOM || err != nil && code == "" {
		return nil, err
	}
	if r.Elements = elements; err != nil {
		r.Unlisted = err.Error()
	}
	h, err := dicom.ReadHeader(file, size, &dicom.Options{HeaderOnly: true, Limits: n.limits})
	var img image.Image
	if err == nil {
		p := &h.Pixels
		r.Modality, r.Pixels = dicom.CodeString(h.Modality), p
		p.Photometric = dicom.CodeString(p.Photometric) // it may be a text in the wrong place
		first := h
		var frames []*dicom.Header
		if frames, err = h.Split(); len(frames) > 0 {
			first = frames[0]
		}
		r.SpacingMM, r.ThicknessMM, r.TiltDegrees = &first.SpacingMM, first.ThicknessMM, first.GantryTiltDegrees
		r.PositionMM, r.Orientation, r.Slope, r.Intercept = &first.PositionMM, &first.Orientation, first.Slope, first.Intercept
		var decoding error
		if img, decoding = r.sum(first, data); err == nil {
			err = decoding
		}
		_, strict := dicom.ReadHeader(file, size, &dicom.Options{Limits: n.limits})
		switch {
		case strict != nil:
			err = strict
		case err != nil:
		case h.Pixels.Frames > 1 && frames == nil:
			r.Verdict = dicomVerdict{string(ingest.MultiFrame), "several frames without functional groups that say where they lie", ingest.SplitFrames}
		case !first.HasGeometry:
			r.Verdict = dicomVerdict{string(ingest.NoGeometry), "no valid position or orientation", ingest.ExportWithGeometry}
		default:
			r.Verdict.Code = usable
		}
	}
	if err != nil {
		de, ok := errors.AsType[*dicom.Error](err)
		if !ok {
			return nil, err
		}
		detail := de.Detail
		if de.Tag != "" {
			detail = "at " + de.Tag + ": " + detail
		}
		if de.Err != nil {
			detail += ": " + de.Err.Error()
		}
		r.Verdict = dicomVerdict{de.Code, detail, de.Remedy}
	}
	if n.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return img, e.Encode(r)
	}
	r.print(out)
	return img, nil
}

// sum decodes the first frame, sums it up and draws it.
func (r *dicomReport) sum(h *dicom.Header, data []byte) (image.Image, error) {
	p := h.Pixels
	if p.Offset == 0 {
		return nil, nil // the strict header refuses it
	}
	value, err := p.Value(data)
	if err != nil {
		return nil, err
	}
	s, err := dicom.DecodeSamples(value, p, 0)
	if err != nil {
		return nil, err
	}
	values := s.Float
	if values == nil {
		values = make([]float64, len(s.Int))
		for i, v := range s.Int {
			values[i] = float64(v)
		}
	}
	v := valueRange{Least: slices.Min(values), Greatest: slices.Max(values)}
	for _, x := range values {
		v.Mean += x / float64(len(values))
	}
	if math.IsNaN(v.Mean) || math.IsInf(v.Mean, 0) {
		return nil, nil // there is nothing to be summed up
	}
	r.Stored = &v
	if h.Modality == "CT" {
		a, b := v.Least*h.Slope+h.Intercept, v.Greatest*h.Slope+h.Intercept
		r.HU = &valueRange{min(a, b), max(a, b), v.Mean*h.Slope + h.Intercept}
	}
	img := image.NewGray(image.Rect(0, 0, p.Columns, p.Rows))
	for i, x := range values {
		if v.Greatest > v.Least {
			img.Pix[i] = uint8(255 * (x - v.Least) / (v.Greatest - v.Least))
		}
	}
	return img, nil
}

func (r *dicomReport) print(out io.Writer) {
	if r.Verdict.Code == usable {
		fmt.Fprintln(out, "verdict     a usable CT slice")
	} else {
		fmt.Fprintf(out, "verdict     %s: %s\n", r.Verdict.Code, r.Verdict.Detail)
		if r.Verdict.Remedy != "" {
			fmt.Fprintf(out, "remedy      %s\n", r.Verdict.Remedy)
		}
	}
	if p := r.Pixels; p != nil {
		fmt.Fprintf(out, "DICOM       %s, %s\n", r.Modality, p.TransferSyntax.Name())
		fmt.Fprintf(out, "pixels      %d x %d, %d of %d bits, signed %t, %s, frames %d\n", p.Rows, p.Columns, p.BitsStored, p.BitsAllocated, p.Signed, p.Photometric, p.Frames)
		fmt.Fprintf(out, "spacing     %g x %g mm, slice %g mm, gantry tilt %g°\n", r.SpacingMM[0], r.SpacingMM[1], r.ThicknessMM, r.TiltDegrees)
		fmt.Fprintf(out, "position    %v\norientation %v\nrescale     x %g %+g\n", *r.PositionMM, *r.Orientation, r.Slope, r.Intercept)
	}
	if v := r.Stored; v != nil {
		fmt.Fprintf(out, "stored      %g…%g, mean %.2f\n", v.Least, v.Greatest, v.Mean)
	}
	if v := r.HU; v != nil {
		fmt.Fprintf(out, "HU          %g…%g, mean %.2f\n", v.Least, v.Greatest, v.Mean)
	}
	fmt.Fprintf(out, "elements    %d: tag, VR, length, keyword\n", len(r.Elements))
	for _, e := range r.Elements {
		length, name := fmt.Sprint(e.Length), e.Keyword
		if e.Length < 0 {
			length = "?"
		}
		if e.Private {
			name = strings.TrimSpace("private " + name)
		}
		line := fmt.Sprintf("%s%s %-2s %6s  %s", strings.Repeat("  ", 1+e.Depth), e.Tag, e.VR, length, name)
		if e.Value != "" {
			line += " = " + e.Value
		}
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
	if r.Unlisted != "" {
		fmt.Fprintln(out, "and then    ", r.Unlisted)
	}
}
