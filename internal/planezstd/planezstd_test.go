package planezstd

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// stack is planes of an interpolated, noisy image; some repeat an earlier one, wholly or nearly, and
// every sixth is a mask.
func stack(planes, rows, columns int) []byte {
	r := rand.New(rand.NewPCG(uint64(planes), uint64(rows)))
	var out []byte
	for p := range planes {
		plane := make([]byte, rows*columns)
		switch {
		case p%6 == 5:
			for i := range plane {
				if i/columns > rows/3 && i%columns > p%columns {
					plane[i] = 255
				}
			}
		case p > 6 && p%3 == 0:
			copy(plane, out[(p-5)*rows*columns:])
		case p > 6 && p%3 == 1:
			copy(plane, out[(p-4)*rows*columns:])
			for range rows {
				plane[r.IntN(len(plane))]++
			}
		default:
			level := 100.0
			for i := range plane {
				level += float64(r.IntN(5)-2) / 2
				plane[i] = byte(level)
			}
		}
		out = append(out, plane...)
	}
	return out
}

// inputs are what an encoder's branches turn on.
func inputs() map[string][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	sparse := make([]byte, 300_000)
	for i := range 40 {
		sparse[r.IntN(len(sparse))] = byte(i)
	}
	ramp := make([]byte, 1000)
	for i := range ramp {
		ramp[i] = byte(i)
	}
	in := map[string][]byte{
		"empty": {}, "one": {7}, "two": {7, 8}, "short": []byte("short"), "constant": make([]byte, 200_000), "noise": noise, "sparse": sparse,
		"ramp": ramp, "header": append([]byte("\x93NUMPY header"), stack(12, 32, 32)...), "crop": stack(90, 56, 56), "large": stack(3, 300, 700),
	}
	for _, n := range []int{31, 32, 63, 64, 65, 4095, 4096, 16383, 16384, maxBlock - 1, maxBlock, maxBlock + 1} {
		b := bytes.Clone(noise[:n])
		for i := range b {
			b[i] &= 15
		}
		in["nibbles"+string(rune('a'+len(in)))] = b
	}
	// Trees that the format can hardly write: equal weights for more bytes than it writes plainly, and
	// counts like Fibonacci's numbers, whose codes grow too long.
	var level, deep []byte
	for i := range 102_000 {
		level = append(level, byte(min(i%256, 254)))
	}
	for v, a, b := 0, 1, 1; len(deep) < maxBlock/2; v, a, b = v+1, b, a+b {
		deep = append(deep, bytes.Repeat([]byte{byte(v * 9)}, a)...)
	}
	for _, b := range [][]byte{level, deep} {
		r.Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
	}
	in["level"], in["deep"] = level, deep
	return in
}

var layouts = []Layout{{}, {Row: 1, Plane: 1}, {Row: 32, Plane: 1024}, {Row: 56, Plane: 56 * 56}, {Row: 7, Plane: 100_000}, {Row: 700, Plane: 210_000}, {Row: -1, Plane: -5}, {Row: 1 << 40, Plane: 1 << 40}}

var reader, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))

func decode(t testing.TB, frame []byte) []byte {
	t.Helper()
	out, err := reader.DecodeAll(frame, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFramesDecodeToTheirInput(t *testing.T) {
	for name, src := range inputs() {
		for _, l := range layouts {
			frame := Append([]byte("before"), nil, src, l)
			if !bytes.HasPrefix(frame, []byte("before")) || !bytes.Equal(decode(t, frame[6:]), src) {
				t.Errorf("%s in %+v comes back changed", name, l)
			}
			if len(frame) > len(src)+3*(len(src)/max(1024, l.Plane)+20) && l.Plane != 1 {
				t.Errorf("%s in %+v grows from %d to %d bytes", name, l, len(src), len(frame))
			}
			after := Append(nil, []byte("head"), src, l)
			if !bytes.Equal(decode(t, after), append([]byte("head"), src...)) {
				t.Errorf("%s in %+v comes back changed after a head", name, l)
			}
		}
	}
}

func TestAHeadIsExchangedByCopying(t *testing.T) {
	for name, src := range inputs() {
		for _, l := range layouts {
			frame := Append(nil, []byte("the head of a file"), src, l)
			f, err := Open(frame)
			if len(src) == 0 {
				if !errors.Is(err, ErrForeign) {
					t.Errorf("%s in %+v: nothing is behind the head, and Open says %v", name, l, err)
				}
				continue
			}
			if err != nil || string(f.Head) != "the head of a file" || f.Size != len(src) {
				t.Fatalf("%s in %+v: %v, head %q, %d bytes of %d", name, l, err, f.Head, f.Size, len(src))
			}
			for _, head := range [][]byte{nil, []byte("4"), bytes.Repeat([]byte("long"), 10_000)} {
				if got := f.Append([]byte("before"), head); !bytes.Equal(got, Append([]byte("before"), head, src, l)) {
					t.Errorf("%s in %+v: with a head of %d bytes it is not what is made at once", name, l, len(head))
				}
			}
		}
	}
}

func TestForeignFramesAreNotOpened(t *testing.T) {
	src := stack(3, 8, 8)
	ours := Append(nil, []byte("head"), src, Layout{8, 64})
	foreign, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, frame := range map[string][]byte{
		"nothing": nil, "cut short": ours[:frameHeaderSize+2], "cut in the head": ours[:frameHeaderSize+5], "no head": Append(nil, nil, src, Layout{8, 64}),
		"a head alone": Append(nil, []byte("head"), nil, Layout{}), "another encoder's": foreign.EncodeAll(src, nil), "something before it": append([]byte{0}, ours...),
	} {
		if _, err := Open(frame); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(Append(nil, []byte("head"), stack(3, 8, 8), Layout{8, 64}))
	f.Fuzz(func(t *testing.T, frame []byte) {
		opened, err := Open(frame)
		if err == nil && !bytes.Equal(opened.Append(nil, opened.Head), frame) {
			t.Error("with its own head it is another frame")
		}
	})
}

func TestRepeatedPlanesCostNothing(t *testing.T) {
	plane := stack(1, 224, 224)
	one := len(Append(nil, nil, plane, Layout{224, 224 * 224}))
	ninety := len(Append(nil, nil, bytes.Repeat(plane, 90), Layout{224, 224 * 224}))
	if ninety > one+89*24 {
		t.Errorf("a plane takes %d bytes, 90 equal ones %d", one, ninety)
	}
}

func TestEqualInputGivesEqualFrames(t *testing.T) {
	src := stack(30, 56, 56)
	want := Append(nil, nil, src, layouts[3])
	for range 3 {
		Append(nil, nil, inputs()["noise"], Layout{})
		if !bytes.Equal(Append(nil, nil, src, layouts[3]), want) {
			t.Fatal("a frame depends on what was compressed before")
		}
	}
}

// Stores keep frames under their layout's name: whatever changes them must raise version, and then this.
func TestFramesOfOneNameStayAsTheyAre(t *testing.T) {
	sum := sha256.New()
	all := inputs()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, l := range layouts {
			sum.Write(Append(nil, []byte("head"), all[name], l))
		}
	}
	const want = "e81e30977d944d656552d235ac06b7fdb10f7cbcec5f835dd4b1950cbb8d1ce2"
	if got := hex.EncodeToString(sum.Sum(nil)); got != want || version != 1 {
		t.Errorf("version %d makes %s, version 1 made %s", version, got, want)
	}
}

// TestLibzstdReadsFrames needs CSPINE_PYTHON, a python with pyarrow, whose zstd is the reference one.
func TestLibzstdReadsFrames(t *testing.T) {
	python := os.Getenv("CSPINE_PYTHON")
	if python == "" {
		t.Skip("CSPINE_PYTHON does not name a python with pyarrow")
	}
	dir := t.TempDir()
	n := 0
	for name, src := range inputs() {
		for i, l := range layouts {
			base := filepath.Join(dir, name+string(rune('0'+i)))
			if err := os.WriteFile(base+".raw", src, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(base+".zst", Append(nil, nil, src, l), 0o600); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/check_frames.py", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%d frames: %s", n, out)
}

func FuzzAppend(f *testing.F) {
	f.Add([]byte("short"), 1, 2)
	f.Add(stack(8, 16, 16), 16, 256)
	f.Fuzz(func(t *testing.T, src []byte, row, plane int) {
		if !bytes.Equal(decode(t, Append(nil, nil, src, Layout{row, plane})), src) {
			t.Error("it comes back changed")
		}
	})
}

// BenchmarkAppend compresses the .npy files that CSPINE_CROPS matches, or a made-up crop, beside the
// general encoder at its fastest.
func BenchmarkAppend(b *testing.B) {
	crops := benchCrops(b)
	fastest, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range []struct {
		name   string
		encode func(dst, src []byte) []byte
	}{
		{"planezstd", func(dst, src []byte) []byte { return Append(dst, nil, src, Layout{224, 224 * 224}) }},
		{"klauspost-fastest", func(dst, src []byte) []byte { return fastest.EncodeAll(src, dst) }},
	} {
		var packed, raw int
		frames := make([][]byte, len(crops))
		b.Run(e.name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				i := n % len(crops)
				frames[i] = e.encode(frames[i][:0], crops[i])
				b.SetBytes(int64(len(crops[i])))
				n++
			}
		})
		for i := range crops {
			frames[i] = e.encode(nil, crops[i])
			packed, raw = packed+len(frames[i]), raw+len(crops[i])
		}
		out := make([]byte, 0, 2*len(crops[0])+64)
		b.Run(e.name+"/decode", func(b *testing.B) {
			n := 0
			for b.Loop() {
				if out, err = reader.DecodeAll(frames[n%len(crops)], out[:0]); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(out)))
				n++
			}
			b.ReportMetric(float64(packed)/float64(raw), "ratio")
		})
	}
}

func benchCrops(b *testing.B) [][]byte {
	var crops [][]byte
	files, _ := filepath.Glob(os.Getenv("CSPINE_CROPS"))
	for _, f := range files {
		x, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		crops = append(crops, x)
	}
	if crops == nil {
		crops = append(crops, stack(90, 224, 224))
	}
	return crops
}
