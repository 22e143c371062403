package dicom

import "strings"

// Objects of several frames (enhanced CT: PS3.3, A.38) say where each frame lies in functional groups (C.7.6.16): sequences with an item for
// all frames, and one for each.

// macros are the sequences within a functional group that hold what a slice needs, and which of their elements it is.
var macros = map[tag][]tag{
	tagPlanePosition:    {tagPosition},
	tagPlaneOrientation: {tagOrientation},
	tagPixelMeasures:    {tagPixelSpacing, tagThickness},
	tagPixelValues:      {tagIntercept, tagSlope},
}

// group is what one item says, as text.
type group map[tag]string

// groups walks the sequence of a functional group, and returns each item's elements and where the sequence ends.
func (s *scanner) groups(of head, implicit bool) (all []group, next int64, err error) {
	next, err = s.eachItem(of, implicit, func(item head, implicit bool) (int64, error) {
		g := group{}
		all = append(all, g)
		return s.eachElement(item, implicit, func(h head) (int64, error) {
			wanted, ok := macros[h.tag]
			if !ok {
				return s.pass(h, implicit, false)
			}
			return s.eachItem(h, implicit, func(item head, implicit bool) (int64, error) {
				return s.eachElement(item, implicit, func(h head) (int64, error) {
					for _, t := range wanted {
						if h.tag == t {
							v, err := s.shortText(h)
							if err != nil {
								return 0, err
							}
							g[t] = v
						}
					}
					return s.pass(h, implicit, false)
				})
			})
		})
	})
	return all, next, err
}

// shortText returns the value of an element that may not be long.
func (s *scanner) shortText(h head) (string, error) {
	if h.length > maxValue {
		return "", malformed(h.tag, h.value, "a value of %d bytes, at most %d are read", h.length, maxValue)
	}
	v, err := s.bytes(h.tag, h.value, int(h.length))
	return string(v), err
}

// eachItem calls f for every item of a sequence, of defined length or not; f returns where the item ends. It returns where the sequence ends.
func (s *scanner) eachItem(of head, implicit bool, f func(item head, implicit bool) (int64, error)) (int64, error) {
	if err := s.deeper(1, of.tag, of.value); err != nil {
		return 0, err
	}
	s.depth++
	defer func() { s.depth-- }()
	implicit = implicit || string(of.vr[:]) == "UN"
	end := of.value + int64(of.length)
	for off := of.value; ; {
		if of.length != undefinedLength && off >= end {
			return end, within(of, off, end)
		}
		h, err := s.head(off, implicit)
		if err != nil {
			return 0, err
		}
		if of.length == undefinedLength && h.tag == tagSequenceEnd {
			return h.value, nil
		}
		if h.tag != tagItem {
			return 0, malformed(h.tag, h.value, "not allowed at its place in the sequence %s", of.tag)
		}
		if off, err = f(h, implicit); err != nil {
			return 0, err
		}
	}
}

// eachElement calls f for every element of an item; f returns where the element ends. It returns where the item ends.
func (s *scanner) eachElement(item head, implicit bool, f func(h head) (int64, error)) (int64, error) {
	if err := s.deeper(1, item.tag, item.value); err != nil {
		return 0, err
	}
	s.depth++
	defer func() { s.depth-- }()
	end := item.value + int64(item.length)
	for off := item.value; ; {
		if item.length != undefinedLength && off >= end {
			return end, within(item, off, end)
		}
		h, err := s.head(off, implicit)
		if err != nil {
			return 0, err
		}
		if item.length == undefinedLength && h.tag == tagItemEnd {
			return h.value, nil
		}
		if off, err = f(h); err != nil {
			return 0, err
		}
	}
}

// within refuses what reaches beyond the end of what it is in.
func within(of head, off, end int64) error {
	if off > end {
		return malformed(of.tag, off, "its content is longer than it is")
	}
	return nil
}

// frameGeometry is what functional groups say of a frame.
type frameGeometry struct {
	PositionMM       [3]float64
	Orientation      [6]float64
	HasGeometry      bool
	SpacingMM        [2]float64
	ThicknessMM      float64
	Slope, Intercept float64
}

// frames reads the geometry of each frame: what its own group says, else what all frames share, else what the object's header says.
func (s *scanner) frames(h *Header) ([]frameGeometry, error) {
	if len(s.each) == 0 {
		return nil, nil
	}
	var shared group
	if len(s.shared) > 0 {
		shared = s.shared[0]
	}
	all := make([]frameGeometry, len(s.each))
	for i, own := range s.each {
		f := frameGeometry{SpacingMM: h.SpacingMM, ThicknessMM: h.ThicknessMM, Slope: h.Slope, Intercept: h.Intercept}
		numbers := func(t tag, dst ...*float64) bool {
			text, ok := own[t]
			if !ok {
				if text, ok = shared[t]; !ok {
					return false
				}
			}
			parts := strings.Split(text, `\`)
			for i := range parts {
				parts[i] = trim(parts[i])
			}
			values := make([]float64, len(dst))
			if !decimals(values, parts) {
				return false
			}
			for i, v := range values {
				*dst[i] = v
			}
			return true
		}
		p, o := &f.PositionMM, &f.Orientation
		f.HasGeometry = numbers(tagPosition, &p[0], &p[1], &p[2]) && numbers(tagOrientation, &o[0], &o[1], &o[2], &o[3], &o[4], &o[5]) && perpendicular(o)
		if !f.HasGeometry {
			*p, *o = [3]float64{}, [6]float64{}
		}
		var spacing [2]float64
		if numbers(tagPixelSpacing, &spacing[0], &spacing[1]) && spacing[0] > 0 && spacing[1] > 0 {
			f.SpacingMM = spacing
		}
		numbers(tagThickness, &f.ThicknessMM)
		slope := 0.0
		if numbers(tagSlope, &slope) {
			if slope == 0 {
				return nil, malformed(tagSlope, 0, "the slope of frame %d is 0", i+1)
			}
			f.Slope = slope
		}
		numbers(tagIntercept, &f.Intercept)
		all[i] = f
	}
	return all, nil
}

// Split returns a header for each frame of an object with functional groups, as if each were a file of its own: InstanceNumber is the
// frame's number, and Pixels has it alone. It returns nil for other objects. Errors are *Error.
func (h *Header) Split() ([]*Header, error) {
	if h.frames == nil {
		return nil, nil
	}
	if len(h.frames) != h.Pixels.Frames {
		return nil, malformed(tagPerFrame, 0, "functional groups for %d frames, the object has %d", len(h.frames), h.Pixels.Frames)
	}
	all := make([]*Header, len(h.frames))
	for k, g := range h.frames {
		one := *h
		one.frames, one.places = nil, nil
		one.InstanceNumber, one.HasInstanceNumber = k+1, true
		one.PositionMM, one.Orientation, one.HasGeometry = g.PositionMM, g.Orientation, g.HasGeometry
		one.SpacingMM, one.ThicknessMM, one.Slope, one.Intercept = g.SpacingMM, g.ThicknessMM, g.Slope, g.Intercept
		if err := one.Pixels.only(k, h.places); err != nil {
			return nil, err
		}
		all[k] = &one
	}
	return all, nil
}

// places are where the fragments of encapsulated pixel data lie in the file, and the offset table.
type places struct {
	table []byte
	items []extent
}

// extent is a fragment: from its head to its end.
type extent struct {
	from, to int64
	starts   bool // as an image does
}

// only makes a format that of one of its frames.
func (f *PixelFormat) only(k int, at *places) error {
	if !f.Encapsulated {
		if f.BitsAllocated%8 != 0 || f.Words {
			return refuse(UnsupportedPixels, tagBitsAllocated, remedyTranscode, "several frames of %d bits a sample", f.BitsAllocated)
		}
		frame := int64(f.Rows) * int64(f.Columns) * int64(f.Samples) * int64(f.BitsAllocated/8)
		f.Offset, f.Length, f.Frames = f.Offset+int64(k)*frame, frame, 1
		return nil
	}
	if at == nil || len(at.items) == 0 {
		return malformed(tagPixelData, f.Offset, "no fragment of pixel data")
	}
	var items []item
	for _, p := range at.items {
		items = append(items, item{at: p.from - at.items[0].from, starts: p.starts})
	}
	from, to, err := f.which(at.table, items, k)
	if err != nil {
		return err
	}
	f.Offset, f.Length = at.items[from].from, at.items[to-1].to-at.items[from].from
	f.Frames, f.Bare = 1, true
	return nil
}
