package transforms

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/cspine/cspine/artifacts"
)

// A runner holds millions of elements in memory, or sends them over a network. So those of which there are most travel field by field, and
// digests as 32 bytes, which takes about half of JSON's bytes. Who writes and who reads are the same build.

func init() {
	beam.RegisterCoder(reflect.TypeFor[artifacts.Row](), encodeRow, decodeRow)
	beam.RegisterCoder(reflect.TypeFor[Study](), encodeStudy, decodeStudy)
	beam.RegisterCoder(reflect.TypeFor[Sample](), encodeSample, decodeSample)
}

func encodeRow(r artifacts.Row) []byte          { return pack(r) }
func decodeRow(b []byte) (artifacts.Row, error) { return unpack[artifacts.Row](b) }
func encodeStudy(s Study) []byte                { return pack(s) }
func decodeStudy(b []byte) (Study, error)       { return unpack[Study](b) }
func encodeSample(s Sample) []byte              { return pack(s) }
func decodeSample(b []byte) (Sample, error)     { return unpack[Sample](b) }

// pack writes a struct of texts, numbers, truth values, lists and structs.
func pack[T any](v T) []byte { return appendValue(nil, reflect.ValueOf(&v).Elem()) }

func appendValue(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.String:
		return appendText(b, v.String())
	case reflect.Int, reflect.Int64:
		return binary.AppendVarint(b, v.Int())
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1)
		}
		return append(b, 0)
	case reflect.Float64:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v.Float()))
	case reflect.Slice:
		b = binary.AppendUvarint(b, uint64(v.Len()))
		for i := range v.Len() {
			b = appendValue(b, v.Index(i))
		}
		return b
	case reflect.Struct:
		for i := range v.NumField() {
			b = appendValue(b, v.Field(i))
		}
		return b
	}
	panic("no element has a " + v.Type().String()) // the tests have all elements
}

// digestMark comes before a digest's 32 bytes. A text that has this byte is written as it is.
const digestMark = 0x01

// appendText writes a text: twice its length, and one more if it is written as it is; and its bytes, every run of 64 hexadecimal digits as theirs.
func appendText(b []byte, text string) []byte {
	if strings.IndexByte(text, digestMark) >= 0 {
		return append(binary.AppendUvarint(b, uint64(len(text))<<1|1), text...)
	}
	short := shortDigests(text)
	return append(binary.AppendUvarint(b, uint64(len(short))<<1), short...)
}

const digits = 2 * len(artifacts.Digest{})

func shortDigests(text string) []byte {
	out := make([]byte, 0, len(text))
	run := 0 // digits that end here
	for i := range len(text) {
		c := text[i]
		out = append(out, c)
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			run = 0
			continue
		}
		if run++; run == digits {
			run = 0
			from := len(out) - digits
			var digest artifacts.Digest
			_, _ = hex.Decode(digest[:], out[from:]) // they are digits
			out = append(append(out[:from], digestMark), digest[:]...)
		}
	}
	return out
}

var errElement = errors.New("an element that this build did not write")

// unpack reads what pack wrote.
func unpack[T any](b []byte) (v T, err error) {
	rest, err := readValue(b, reflect.ValueOf(&v).Elem())
	if err == nil && len(rest) != 0 {
		err = errElement
	}
	if err != nil {
		return v, fmt.Errorf("%T: %w", v, err)
	}
	return v, nil
}

// readValue reads a value and returns what is behind it.
func readValue(b []byte, v reflect.Value) (rest []byte, err error) {
	switch v.Kind() {
	case reflect.String:
		text, rest, err := readText(b)
		v.SetString(text)
		return rest, err
	case reflect.Int, reflect.Int64:
		n, size := binary.Varint(b)
		if size <= 0 {
			return nil, errElement
		}
		v.SetInt(n)
		return b[size:], nil
	case reflect.Bool:
		if len(b) == 0 {
			return nil, errElement
		}
		v.SetBool(b[0] != 0)
		return b[1:], nil
	case reflect.Float64:
		if len(b) < 8 {
			return nil, errElement
		}
		v.SetFloat(math.Float64frombits(binary.LittleEndian.Uint64(b)))
		return b[8:], nil
	case reflect.Slice:
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)) { // an item is a byte and more
			return nil, errElement
		}
		b = b[size:]
		if n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), int(n), int(n)))
		}
		for i := range int(n) {
			if b, err = readValue(b, v.Index(i)); err != nil {
				return nil, err
			}
		}
		return b, nil
	case reflect.Struct:
		for i := range v.NumField() {
			if b, err = readValue(b, v.Field(i)); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return nil, errElement
}

func readText(b []byte) (text string, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n>>1 > uint64(len(b)-size) {
		return "", nil, errElement
	}
	short, rest := b[size:][:n>>1], b[size:][n>>1:]
	if n&1 == 1 {
		return string(short), rest, nil
	}
	var out []byte
	for {
		at := bytes.IndexByte(short, digestMark)
		if at < 0 {
			return string(append(out, short...)), rest, nil
		}
		if len(short)-at-1 < digits/2 {
			return "", nil, errElement
		}
		out = append(out, short[:at]...)
		out = hex.AppendEncode(out, short[at+1:][:digits/2])
		short = short[at+1+digits/2:]
	}
}
