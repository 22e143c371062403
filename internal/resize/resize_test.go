package resize

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/cspine/cspine/internal/volume"
)

// expectedCase is a line of testdata/expected.json; see make_expected.py there.
type expectedCase struct {
	Kind, DType, Filter string
	Rows, Columns, Seed int
	ToRows              int `json:"to_rows"`
	ToColumns           int `json:"to_columns"`
	Digest              string
}

func (c expectedCase) String() string {
	return fmt.Sprintf("%s %s %dx%d to %dx%d %s", c.DType, c.Kind, c.Rows, c.Columns, c.ToRows, c.ToColumns, c.Filter)
}

func TestEveryFilterEqualsOpenCV(t *testing.T) {
	file, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []expectedCase
	if err := json.Unmarshal(file, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range cases {
		if digest(c.resized()) != c.Digest {
			t.Errorf("%v: differs from cv2.resize", c)
		}
	}
}

// resized returns the resized plane's stored values.
func (c expectedCase) resized() []int32 {
	out := make([]int32, c.ToRows*c.ToColumns)
	if c.DType == "uint8" {
		src, dst := make([]uint8, c.Rows*c.Columns), make([]uint8, len(out))
		for i := range src {
			src[i] = uint8(c.value(i/c.Columns, i%c.Columns))
		}
		if Filter(c.Filter) == Area {
			AreaUint8(src, c.Rows, c.Columns, dst, c.ToRows, c.ToColumns)
		} else {
			LinearUint8(src, c.Rows, c.Columns, dst, c.ToRows, c.ToColumns)
		}
		for i, v := range dst {
			out[i] = int32(v)
		}
		return out
	}
	src := volume.Slice{Rows: c.Rows, Columns: c.Columns, Pix: make([]uint16, c.Rows*c.Columns)}
	if c.DType == "int16" {
		src.Bias = -32768
	}
	for i := range src.Pix {
		src.Pix[i] = uint16(int32(c.value(i/c.Columns, i%c.Columns)) - src.Bias)
	}
	dst := Slice(&src, c.ToRows, c.ToColumns, Filter(c.Filter))
	for i := range out {
		out[i] = dst.Value(i/c.ToColumns, i%c.ToColumns)
	}
	return out
}

// value is make_expected.py's plane.
func (c expectedCase) value(row, column int) int {
	x := uint32(row)*0x9E3779B1 + uint32(column)*0x85EBCA77 + uint32(c.Seed)*0xC2B2AE3D
	x = (x ^ x>>15) * 0x2C1B3C6D
	x = (x ^ x>>12) * 0x297A2D39
	x ^= x >> 15
	if c.Kind == "ct" {
		v := abs(row*7%2048-1024) + abs(column*5%2048-1024) + int(x>>26)
		return map[string]int{"uint8": v >> 4, "uint16": v, "int16": v - 1024}[c.DType]
	}
	return map[string]int{"uint8": int(x >> 24), "uint16": int(x >> 16), "int16": int(x>>16) - 32768}[c.DType]
}

func digest(values []int32) string {
	b, err := binary.Append(nil, binary.LittleEndian, values)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

func abs(x int) int { return max(x, -x) }

func TestSliceIsTheNearestIntegerToValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := anySlice(t)
		rows, columns := rapid.IntRange(1, 40).Draw(t, "to rows"), rapid.IntRange(1, 40).Draw(t, "to columns")
		f := rapid.SampledFrom([]Filter{Linear, Area}).Draw(t, "filter")
		rounded, values := Slice(&src, rows, columns, f), Values(&src, rows, columns, f)
		low, high := float32(math.Inf(1)), float32(math.Inf(-1))
		for i := range src.Pix {
			v := float32(src.Value(0, i))
			low, high = min(low, v), max(high, v)
		}
		for i, v := range values {
			// Not always to even: IPP rounds half-way values at the border of int16 its own way. Values are
			// float32, whose steps are 1/256 just below 65536 and so at the ends of either range.
			if got := rounded.Value(0, i); math.Abs(float64(got)-float64(v)) > 0.5+1.0/256 {
				t.Fatalf("value %d: %g was rounded to %d", i, v, got)
			}
			if v < low-0.01 || v > high+0.01 {
				t.Fatalf("value %d: %g lies outside of the source's %g…%g", i, v, low, high)
			}
		}
	})
}

func TestCutEqualsMappingThenResizingThePart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := anySlice(t)
		row, column := rapid.IntRange(0, src.Rows-1).Draw(t, "row"), rapid.IntRange(0, src.Columns-1).Draw(t, "column")
		rows, columns := rapid.IntRange(1, src.Rows-row).Draw(t, "rows"), rapid.IntRange(1, src.Columns-column).Draw(t, "columns")
		toRows, toColumns := rapid.IntRange(1, 50).Draw(t, "to rows"), rapid.IntRange(1, 50).Draw(t, "to columns")
		table := make([]uint8, 65536+7)
		for i := range table {
			table[i] = uint8(i * 31 >> 3)
		}
		var part []uint8
		for r := range rows {
			for c := range columns {
				part = append(part, table[int(src.Pix[(row+r)*src.Columns+column+c])+7])
			}
		}
		want, got := make([]uint8, toRows*toColumns), make([]uint8, toRows*toColumns)
		LinearUint8(part, rows, columns, want, toRows, toColumns)
		NewGrey(rows, columns, toRows, toColumns).Cut(got, src.Pix[row*src.Columns+column:], src.Columns, table, 7)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestConstantPlanesStayConstant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Uint8().Draw(t, "value")
		size := rapid.SliceOfN(rapid.IntRange(1, 60), 4, 4).Draw(t, "size")
		src, dst := make([]uint8, size[0]*size[1]), make([]uint8, size[2]*size[3])
		for i := range src {
			src[i] = v
		}
		for _, f := range []func([]uint8, int, int, []uint8, int, int){LinearUint8, AreaUint8} {
			f(src, size[0], size[1], dst, size[2], size[3])
			for i, got := range dst {
				if got != v {
					t.Fatalf("value %d is %d, want %d", i, got, v)
				}
			}
		}
	})
}

func anySlice(t *rapid.T) volume.Slice {
	s := volume.Slice{Rows: rapid.IntRange(1, 30).Draw(t, "rows"), Columns: rapid.IntRange(1, 30).Draw(t, "columns")}
	s.Bias = rapid.SampledFrom([]int32{0, -32768}).Draw(t, "bias")
	s.Pix = rapid.SliceOfN(rapid.Uint16(), s.Rows*s.Columns, s.Rows*s.Columns).Draw(t, "pix")
	return s
}
