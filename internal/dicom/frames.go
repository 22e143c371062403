package dicom

import (
	"bytes"
	"encoding/binary"
)

// frame returns the bytes of a frame of a pixel data value, which it shares memory with unless the frame lies in several fragments.
// Native frames are whole and as long as the format says; they begin with a byte unless samples are of one bit, whose frames are asked for
// together, by DecodeSamples alone.
func (f *PixelFormat) frame(value []byte, k int) ([]byte, error) {
	if k < 0 || k >= f.Frames {
		return nil, malformed(tagFrames, 0, "frame %d of %d", k+1, f.Frames)
	}
	if f.Encapsulated {
		return f.fragments(value, k)
	}
	need := f.Rows * f.Columns * f.BitsAllocated / 8
	if int64(len(value)) < int64(need)*int64(k+1) {
		return nil, truncated(tagPixelData, int64(len(value)), "%d bytes of pixel data, %d frames need %d", len(value), k+1, int64(need)*int64(k+1))
	}
	b := value[k*need:][:need]
	if f.Words {
		whole := value[:len(value)&^1]
		b = bytes.Clone(b)
		for i := range b {
			if at := (k*need + i) ^ 1; at < len(whole) {
				b[i] = whole[at]
			}
		}
	}
	return b, nil
}

// fragments returns the bytes of a frame of an encapsulated value (PS3.5, section A.4). A frame may lie in several fragments; they are
// joined. Where frames begin is said by the offset table; without one a fragment is a frame if there are as many, and otherwise a frame
// begins where its first fragment begins as an image does.
func (f *PixelFormat) fragments(value []byte, k int) ([]byte, error) {
	table, items, err := readItems(value, f.Bare)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, malformed(tagPixelData, 0, "no fragment of pixel data")
	}
	from, to, err := f.which(table, items, k)
	if err != nil {
		return nil, err
	}
	if to-from == 1 {
		return items[from].data, nil
	}
	var all [][]byte
	for _, i := range items[from:to] {
		all = append(all, i.data)
	}
	return bytes.Join(all, nil), nil
}

// which returns the fragments of a frame.
func (f *PixelFormat) which(table []byte, items []item, k int) (from, to int, err error) {
	switch {
	case len(table) >= 8 && len(table)/4 > k:
		return byTable(table, items, k)
	case f.Frames == 1:
		return 0, len(items), nil
	case len(items) == f.Frames:
		return k, k + 1, nil
	}
	return f.byStart(items, k)
}

// item is a fragment; at is where its head lies, counted from the first fragment's.
type item struct {
	at     int64
	starts bool // as an image does
	data   []byte
}

// startsImage tells whether a fragment begins with the marker of a JPEG or JPEG-LS image, or with the two of a JPEG 2000 codestream.
func startsImage(b []byte) bool {
	return bytes.HasPrefix(b, []byte{0xff, 0xd8}) || bytes.HasPrefix(b, []byte{0xff, 0x4f, 0xff, 0x51})
}

// readItems returns the offset table, which may be empty, and the fragments. A bare value has no table, and ends with its last fragment.
func readItems(value []byte, bare bool) (table []byte, items []item, err error) {
	le := binary.LittleEndian
	first := -1
	if bare {
		first = 0
	}
	for at := 0; ; {
		if bare && at == len(value) {
			return table, items, nil
		}
		if len(value)-at < 8 {
			return nil, nil, truncated(tagPixelData, int64(at), "the sequence of fragments has no end")
		}
		t, length := tag(le.Uint16(value[at:]))<<16|tag(le.Uint16(value[at+2:])), le.Uint32(value[at+4:])
		head := at
		at += 8
		if t == tagSequenceEnd {
			return table, items, nil
		}
		if t != tagItem {
			return nil, nil, malformed(t, int64(at), "not a fragment of pixel data")
		}
		if uint64(length) > uint64(len(value)-at) {
			return nil, nil, truncated(tagPixelData, int64(at), "a fragment should have %d bytes, %d are left", length, len(value)-at)
		}
		data := value[at : at+int(length)]
		at += int(length)
		if first < 0 {
			first, table = at, data
			continue
		}
		items = append(items, item{int64(head - first), startsImage(data), data})
	}
}

// byTable finds a frame's fragments by the offset table: those that begin from its offset on, and before the next one's.
func byTable(table []byte, items []item, k int) (from, to int, err error) {
	begin := int64(binary.LittleEndian.Uint32(table[4*k:]))
	end := items[len(items)-1].at + 1
	if len(table) >= 4*k+8 {
		end = int64(binary.LittleEndian.Uint32(table[4*k+4:]))
	}
	for from < len(items) && items[from].at < begin {
		from++
	}
	for to = from; to < len(items) && items[to].at < end; to++ {
	}
	if from == to || items[from].at != begin {
		return 0, 0, malformed(tagPixelData, begin, "the offset table says that frame %d begins here, and no fragment does", k+1)
	}
	return from, to, nil
}

// byStart finds a frame's fragments by the markers that images begin with.
func (f *PixelFormat) byStart(items []item, k int) (from, to int, err error) {
	frames := 0
	to = len(items)
	for i, it := range items {
		if !it.starts {
			continue
		}
		switch frames {
		case k:
			from = i
		case k + 1:
			to = i
		}
		frames++
	}
	if frames != f.Frames {
		return 0, 0, malformed(tagPixelData, 0, "%d frames in %d fragments, of which %d begin as an image does", f.Frames, len(items), frames)
	}
	return from, to, nil
}
