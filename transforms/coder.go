package transforms

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/cspine/cspine/artifacts"
)

// A runner holds millions of elements in memory, or sends them over a network. So those of which there are most travel field by field, and
// digests as 32 bytes, or where they stand in one again as a number, which takes about a third of JSON's bytes. Who writes and who reads are the
// same build.

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
func pack[T any](v T) []byte {
	var p packer
	p.value(reflect.ValueOf(&v).Elem())
	return p.out
}

// packer writes an element.
type packer struct {
	out  []byte
	seen digests
}

func (p *packer) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		p.text(v.String())
	case reflect.Int, reflect.Int64:
		p.out = binary.AppendVarint(p.out, v.Int())
	case reflect.Bool:
		if v.Bool() {
			p.out = append(p.out, 1)
		} else {
			p.out = append(p.out, 0)
		}
	case reflect.Float64:
		p.out = binary.LittleEndian.AppendUint64(p.out, math.Float64bits(v.Float()))
	case reflect.Slice:
		p.out = binary.AppendUvarint(p.out, uint64(v.Len()))
		for i := range v.Len() {
			p.value(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			p.value(v.Field(i))
		}
	default:
		panic("no element has a " + v.Type().String()) // the tests have all elements
	}
}

// A text's digests are marked: digestMark and the 32 bytes, or againMark and which of the element's it is. A text that has such a byte is written
// as it is.
const (
	digestMark = 0x01
	againMark  = 0x02
)

// digests are those of an element, in the order in which they came. There are no more than a byte counts.
type digests []artifacts.Digest

func (d *digests) add(digest artifacts.Digest) {
	if len(*d) < 256 {
		*d = append(*d, digest)
	}
}

// text writes a text: twice its length, and one more if it is written as it is; and its bytes, every run of 64 hexadecimal digits as a digest.
func (p *packer) text(text string) {
	if strings.IndexByte(text, digestMark) >= 0 || strings.IndexByte(text, againMark) >= 0 {
		p.out = append(binary.AppendUvarint(p.out, uint64(len(text))<<1|1), text...)
		return
	}
	short := p.shortened(text)
	p.out = append(binary.AppendUvarint(p.out, uint64(len(short))<<1), short...)
}

const digits = 2 * len(artifacts.Digest{})

func (p *packer) shortened(text string) []byte {
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
			if at := slices.Index(p.seen, digest); at >= 0 {
				out = append(out[:from], againMark, byte(at))
				continue
			}
			p.seen.add(digest)
			out = append(append(out[:from], digestMark), digest[:]...)
		}
	}
	return out
}

var errElement = errors.New("an element that this build did not write")

// unpack reads what pack wrote.
func unpack[T any](b []byte) (v T, err error) {
	u := unpacker{rest: b}
	err = u.value(reflect.ValueOf(&v).Elem())
	if err == nil && len(u.rest) != 0 {
		err = errElement
	}
	if err != nil {
		return v, fmt.Errorf("%T: %w", v, err)
	}
	return v, nil
}

// unpacker reads an element.
type unpacker struct {
	rest []byte
	seen digests
}

// take returns the next bytes.
func (u *unpacker) take(n uint64) ([]byte, error) {
	if n > uint64(len(u.rest)) {
		return nil, errElement
	}
	taken := u.rest[:n]
	u.rest = u.rest[n:]
	return taken, nil
}

// count returns the next number, of those that are not below 0.
func (u *unpacker) count() (uint64, error) {
	n, size := binary.Uvarint(u.rest)
	if size <= 0 {
		return 0, errElement
	}
	u.rest = u.rest[size:]
	return n, nil
}

func (u *unpacker) value(v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		text, err := u.text()
		v.SetString(text)
		return err
	case reflect.Int, reflect.Int64:
		n, size := binary.Varint(u.rest)
		if size <= 0 {
			return errElement
		}
		u.rest = u.rest[size:]
		v.SetInt(n)
		return nil
	case reflect.Bool:
		b, err := u.take(1)
		v.SetBool(err == nil && b[0] != 0)
		return err
	case reflect.Float64:
		b, err := u.take(8)
		if err == nil {
			v.SetFloat(math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
		return err
	case reflect.Slice:
		n, err := u.count()
		if err != nil || n > uint64(len(u.rest)) { // an item is a byte and more
			return errElement
		}
		if n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), int(n), int(n)))
		}
		for i := range int(n) {
			if err := u.value(v.Index(i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Struct:
		for i := range v.NumField() {
			if err := u.value(v.Field(i)); err != nil {
				return err
			}
		}
		return nil
	}
	return errElement
}

func (u *unpacker) text() (string, error) {
	n, err := u.count()
	if err != nil {
		return "", err
	}
	short, err := u.take(n >> 1)
	if err != nil || n&1 == 1 {
		return string(short), err
	}
	out := make([]byte, 0, 2*len(short))
	for len(short) > 0 {
		c, behind := short[0], short[1:]
		var digest artifacts.Digest
		switch {
		case c != digestMark && c != againMark:
			out, short = append(out, c), behind
			continue
		case c == againMark && len(behind) > 0 && int(behind[0]) < len(u.seen):
			digest, short = u.seen[behind[0]], behind[1:]
		case c == digestMark && len(behind) >= len(digest):
			digest, short = artifacts.Digest(behind[:len(digest)]), behind[len(digest):]
			u.seen.add(digest)
		default:
			return "", errElement
		}
		out = hex.AppendEncode(out, digest[:])
	}
	return string(out), nil
}
