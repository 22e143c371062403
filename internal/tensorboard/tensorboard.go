// Package tensorboard writes the event files that TensorBoard shows: scalars, and nothing else.
//
// An event file is a sequence of TFRecords (tensorflow/core/lib/io/record_writer.h), each an Event message
// (tensorflow/core/util/event.proto). Invariants:
//   - Equal scalars must give equal bytes, and more of them must only append, so that a file that is written anew while TensorBoard
//     reads it never moves what was read.
//   - Nothing of the machine goes in.
package tensorboard

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// FileName is what an event file is called: TensorBoard looks for "tfevents" in names, and reads those of a folder in their order.
const FileName = "events.out.tfevents.0000000000.cspine"

// Scalar is one value under a name. A slash in the name groups it.
type Scalar struct {
	Tag   string
	Value float64 // kept as float32
}

// AppendStart appends the record that a file must begin with. Time is in seconds since 1970.
func AppendStart(file []byte, time float64) []byte {
	const fileVersion = 3
	event := appendTime(nil, time)
	event = protowire.AppendTag(event, fileVersion, protowire.BytesType)
	event = protowire.AppendString(event, "brain.Event:2")
	return appendRecord(file, event)
}

// Append appends one event: the scalars of a step.
func Append(file []byte, time float64, step int64, scalars ...Scalar) []byte {
	const (
		stepField, summaryField = 2, 5 // of Event
		valueField              = 1    // of Summary
		tagField, simpleValue   = 1, 2 // of Summary.Value
	)
	var summary []byte
	for _, s := range scalars {
		value := protowire.AppendTag(nil, tagField, protowire.BytesType)
		value = protowire.AppendString(value, s.Tag)
		value = protowire.AppendTag(value, simpleValue, protowire.Fixed32Type)
		value = protowire.AppendFixed32(value, math.Float32bits(float32(s.Value)))
		summary = protowire.AppendTag(summary, valueField, protowire.BytesType)
		summary = protowire.AppendBytes(summary, value)
	}
	event := appendTime(nil, time)
	if step != 0 { // as any protocol buffer leaves out a zero
		event = protowire.AppendTag(event, stepField, protowire.VarintType)
		event = protowire.AppendVarint(event, uint64(step))
	}
	event = protowire.AppendTag(event, summaryField, protowire.BytesType)
	event = protowire.AppendBytes(event, summary)
	return appendRecord(file, event)
}

func appendTime(event []byte, time float64) []byte {
	event = protowire.AppendTag(event, 1, protowire.Fixed64Type)
	return protowire.AppendFixed64(event, math.Float64bits(time))
}

// appendRecord frames data: its length, the length's checksum, data, and their checksum.
func appendRecord(file, data []byte) []byte {
	start := len(file)
	file = binary.LittleEndian.AppendUint64(file, uint64(len(data)))
	file = binary.LittleEndian.AppendUint32(file, masked(file[start:]))
	file = append(file, data...)
	return binary.LittleEndian.AppendUint32(file, masked(data))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked is CRC-32C, rotated and shifted so that a checksum of data that hold checksums is no weaker
// (tensorflow/core/lib/hash/crc32c.h).
func masked(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}
