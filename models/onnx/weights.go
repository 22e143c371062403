package onnx

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Weight is a float32 initializer.
type Weight struct {
	Values []float32 // C order
	Dims   []int64
}

// Weights returns a copy of every float32 initializer by its name. Those whose values don't fit their dimensions are
// left out (Check names them).
func (m *Model) Weights() map[string]Weight {
	all := map[string]Weight{}
	for _, t := range m.Graph.Initializers {
		if values, ok := t.Float32s(); ok {
			all[t.Name] = Weight{values, slices.Clone(t.Dims)}
		}
	}
	return all
}

// WithWeights returns the file with other values in the named float32 initializers, and everything else byte for byte as it
// stands. A name that is not there, or another number of values, is an *Error, and so is what Parse refuses. A name of Untie's makes
// the file be untied first, and written anew.
func WithWeights(file []byte, values map[string][]float32) ([]byte, error) {
	m, err := Parse(file)
	if err != nil {
		return nil, err
	}
	out := file
	if m.tied(values) && m.Untie() > 0 {
		out = m.Bytes()
	}
	out = slices.Clone(out)
	left := maps.Clone(values)
	err = walk(out, func(f field) error {
		if f.number != 7 {
			return nil
		}
		return walk(f.bytes, func(f field) error {
			if f.number != 5 {
				return nil
			}
			t, err := parseTensor(f.bytes)
			if err != nil {
				return err
			}
			v, wanted := values[t.Name]
			if !wanted {
				return nil
			}
			if _, once := left[t.Name]; !once {
				return malformed("the initializer %q stands twice", t.Name)
			}
			delete(left, t.Name)
			return t.overwrite(f.bytes, v)
		})
	})
	if err != nil {
		return nil, malformed("new weights: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		return nil, malformed("new weights: the model has no initializer %q", name)
	}
	return out, nil
}

// tied tells whether an Identity gives one of the names.
func (m *Model) tied(values map[string][]float32) bool {
	return slices.ContainsFunc(m.Graph.Nodes, func(n *Node) bool {
		_, wanted := values[at(n.Outputs, 0)]
		return wanted && is(n, "Identity")
	})
}

// overwrite puts values into message, which t was read from, where its own values lie.
func (t *Tensor) overwrite(message []byte, values []float32) error {
	if t.Type != Float32 {
		return malformed("the initializer %q is %s, not float32", t.Name, t.Type)
	}
	if old, ok := t.Float32s(); !ok || len(old) != len(values) {
		return malformed("the initializer %q has the dimensions %v, not %d values", t.Name, t.Dims, len(values))
	}
	raw := len(t.data) > 0
	place := func(to []byte) {
		for ; len(to) >= 4 && len(values) > 0; to, values = to[4:], values[1:] {
			binary.LittleEndian.PutUint32(to, math.Float32bits(values[0]))
		}
	}
	all := values
	err := walk(message, func(f field) error {
		_, kind, _ := protowire.ConsumeTag(f.raw)
		switch {
		case f.number == 9 && raw:
			values = all // of a field that stands twice the last counts
			place(f.bytes)
		case f.number == 4 && !raw && kind == protowire.BytesType:
			place(f.bytes)
		case f.number == 4 && !raw && kind == protowire.Fixed32Type:
			place(f.raw[len(f.raw)-4:])
		}
		return nil
	})
	if err == nil && len(values) > 0 {
		return malformed("the values of the initializer %q are damaged", t.Name)
	}
	return err
}
