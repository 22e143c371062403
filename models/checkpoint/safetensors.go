package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	metadataKey = "__metadata__"
	maxHeader   = 100 << 20 // the format's own limit
	maxRank     = 16
)

// entry is a tensor in the header. Offsets count from the header's end.
type entry struct {
	DType   string   `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// Encode returns the checkpoint as a file: tensors sorted by name, the header padded with spaces to a multiple of eight. The
// error is an *Error where the checkpoint contradicts itself.
func (c *Checkpoint) Encode() ([]byte, error) {
	if err := check(&c.State); err != nil {
		return nil, err
	}
	metadata := map[string]string{"cspine.checkpoint": Version,
		"steps": strconv.FormatInt(c.State.Steps, 10), "draws": strconv.FormatInt(c.State.Draws, 10)}
	for key, value := range c.Metadata {
		if _, taken := metadata[key]; taken {
			return nil, malformed("the metadata key %q is the format's own", key)
		}
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return nil, malformed("the metadata of %q are no UTF-8", key)
		}
		metadata[key] = value
	}
	header := map[string]any{metadataKey: metadata}
	values := map[string][]float32{}
	for prefix, group := range groups(&c.State) {
		for name, v := range *group {
			if !utf8.ValidString(name) {
				return nil, malformed("the tensor name %q is no UTF-8", name)
			}
			values[prefix+name] = v
		}
	}
	names := slices.Sorted(maps.Keys(values))
	size := int64(0)
	for _, full := range names {
		shape, err := c.shape(full, len(values[full]))
		if err != nil {
			return nil, err
		}
		end := size + 4*int64(len(values[full]))
		header[full] = entry{"F32", shape, [2]int64{size, end}}
		size = end
	}
	text, err := json.Marshal(header) // which sorts keys
	if err != nil {
		return nil, err
	}
	text = append(text, bytes.Repeat([]byte{' '}, (8-len(text)%8)%8)...)
	if len(text) > maxHeader {
		return nil, malformed("the header is larger than %d bytes", maxHeader)
	}
	out := make([]byte, 0, 8+int64(len(text))+size)
	out = binary.LittleEndian.AppendUint64(out, uint64(len(text)))
	out = append(out, text...)
	for _, full := range names {
		for _, v := range values[full] {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
		}
	}
	return out, nil
}

func (c *Checkpoint) shape(full string, length int) ([]int64, error) {
	_, name, _ := strings.Cut(full, "/")
	dims, known := c.Shapes[name]
	if !known {
		return []int64{int64(length)}, nil
	}
	shape, n := make([]int64, len(dims)), 1
	for i, d := range dims {
		shape[i] = int64(d)
		n *= d
	}
	if n != length {
		return nil, malformed("%s has %d values for the shape %v", full, length, dims)
	}
	return shape, nil
}

// Decode reads a file. The checkpoint owns its values. The error is an *Error.
func Decode(file []byte) (*Checkpoint, error) {
	if len(file) < 8 {
		return nil, malformed("not a safetensors file: %d bytes", len(file))
	}
	length := binary.LittleEndian.Uint64(file)
	if length > maxHeader || length > uint64(len(file)-8) {
		return nil, malformed("not a safetensors file, or a truncated one: a header of %d bytes in a file of %d", length, len(file))
	}
	text, data := file[8:8+length], file[8+length:]
	header, err := parseHeader(text)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{Metadata: map[string]string{}, Shapes: map[string][]int{}}
	if raw, ok := header[metadataKey]; ok {
		if err := json.Unmarshal(raw, &c.Metadata); err != nil {
			return nil, malformed("%s is no map of texts", metadataKey)
		}
		delete(header, metadataKey)
	}
	if err := c.takeMetadata(); err != nil {
		return nil, err
	}
	entries := make(map[string]entry, len(header))
	for full, raw := range header {
		e, err := parseEntry(full, raw)
		if err != nil {
			return nil, err
		}
		entries[full] = e
	}
	if err := covers(entries, int64(len(data))); err != nil {
		return nil, err
	}
	byPrefix := groups(&c.State)
	for _, group := range byPrefix {
		*group = map[string][]float32{}
	}
	for full, e := range entries {
		prefix, name, _ := strings.Cut(full, "/")
		group, known := byPrefix[prefix+"/"]
		if !known {
			return nil, malformed("the tensor %q is no part of a checkpoint", full)
		}
		(*group)[name] = floats(data[e.Offsets[0]:e.Offsets[1]])
		if prefix+"/" == weights {
			c.Shapes[name] = dims(e.Shape)
		}
	}
	if err := check(&c.State); err != nil {
		return nil, err
	}
	return c, nil
}

// parseHeader splits the header's members.
func parseHeader(text []byte) (map[string]json.RawMessage, error) {
	if len(text) == 0 || text[0] != '{' {
		return nil, malformed("not a safetensors file: its header is no JSON object")
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(text, &header); err != nil {
		return nil, malformed("the header is damaged: %v", err)
	}
	return header, nil
}

func (c *Checkpoint) takeMetadata() error {
	if v := c.Metadata["cspine.checkpoint"]; v != Version {
		return malformed("not a checkpoint of cspine's version %s: it says %q", Version, v)
	}
	for key, to := range map[string]*int64{"steps": &c.State.Steps, "draws": &c.State.Draws} {
		n, err := strconv.ParseInt(c.Metadata[key], 10, 64)
		if err != nil {
			return malformed("%s are no number", key)
		}
		*to = n
		delete(c.Metadata, key)
	}
	delete(c.Metadata, "cspine.checkpoint")
	return nil
}

func parseEntry(full string, raw json.RawMessage) (entry, error) {
	var e entry
	if err := json.Unmarshal(raw, &e); err != nil {
		return e, malformed("%q is damaged", full)
	}
	if e.DType != "F32" {
		return e, malformed("%q is of type %q, not F32", full, e.DType)
	}
	if len(e.Shape) > maxRank {
		return e, malformed("%q has more than %d dimensions", full, maxRank)
	}
	n := int64(1)
	for _, d := range e.Shape {
		if d < 0 || d > 1<<40 || (d > 0 && n > (1<<40)/d) {
			return e, malformed("%q has the shape %v", full, e.Shape)
		}
		n *= d
	}
	if b, end := e.Offsets[0], e.Offsets[1]; b < 0 || end < b || end-b != 4*n {
		return e, malformed("%q has the shape %v and the bytes %v", full, e.Shape, e.Offsets)
	}
	return e, nil
}

// covers checks that the tensors lie one after the other and fill the data: nothing twice, nothing left out, nothing
// beyond. A name that stands twice in the header leaves a gap.
func covers(entries map[string]entry, size int64) error {
	order := slices.SortedFunc(maps.Values(entries), func(a, b entry) int {
		if a.Offsets[0] != b.Offsets[0] {
			return int(min(max(a.Offsets[0]-b.Offsets[0], -1), 1))
		}
		return int(min(max(a.Offsets[1]-b.Offsets[1], -1), 1))
	})
	at := int64(0)
	for _, e := range order {
		if e.Offsets[0] != at {
			return malformed("tensors overlap or leave a gap at byte %d", at)
		}
		at = e.Offsets[1]
	}
	if at != size {
		return malformed("truncated or damaged: tensors end at byte %d of %d", at, size)
	}
	return nil
}

func floats(data []byte) []float32 {
	values := make([]float32, len(data)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return values
}

func dims(shape []int64) []int {
	out := make([]int, len(shape))
	for i, d := range shape {
		out[i] = int(d)
	}
	return out
}
