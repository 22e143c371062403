package artifacts

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func TestFrameBoundIsTight(t *testing.T) {
	foreign, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(true))
	if err != nil {
		t.Fatal(err)
	}
	skippable := []byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3}
	for _, n := range []int{0, 1, 255, 256, 70_000, 5 << 20} {
		data := bytes.Repeat([]byte("ab\x00"), n/3+1)[:n]
		for name, stored := range map[string][]byte{
			"ours":      encodeZstd(nil, data),
			"foreign":   foreign.EncodeAll(data, encodeZstd(nil, nil)),
			"skippable": encodeZstd(skippable, data),
		} {
			bound, err := frameBound(stored)
			if err != nil || bound < int64(n) || n >= 256 && bound != int64(n) {
				t.Errorf("%s: %d bytes have the bound %d, %v", name, n, bound, err)
			}
			if got, err := decode(stored, Zstd); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: %d bytes came back as %d, %v", name, n, len(got), err)
			}
		}
	}
}

func TestStreamedFramesAreRead(t *testing.T) {
	data := bytes.Repeat([]byte("stream"), 100_000)
	var stored bytes.Buffer
	w, err := zstd.NewWriter(&stored)
	if err != nil {
		t.Fatal(err)
	}
	for part := range bytes.Lines(bytes.ReplaceAll(data, []byte("m"), []byte("\n"))) {
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := decode(stored.Bytes(), Zstd); err != nil || len(got) != len(data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestBombsCostNoMemory(t *testing.T) {
	magic := []byte{0x28, 0xb5, 0x2f, 0xfd}
	announce := func(size uint64, blocks ...byte) []byte {
		b := append(bytes.Clone(magic), 0xe0) // single segment, 8 bytes of content size
		return append(binary.LittleEndian.AppendUint64(b, size), blocks...)
	}
	rle := func(n int, last uint32) []byte { // a block that repeats one byte n times
		h := uint32(n)<<3 | 1<<1 | last
		return []byte{byte(h), byte(h >> 8), byte(h >> 16), 7}
	}
	many := announce(8 << 30)
	for range 1 << 16 {
		many = append(many, rle(128<<10, 0)...)
	}
	for name, stored := range map[string][]byte{
		"a terabyte in one block":  announce(1<<40, rle(128<<10, 1)...),
		"8 GiB in 65,536 blocks":   append(many, rle(1, 1)...),
		"no blocks":                announce(1),
		"reserved block":           announce(1, 7, 0, 0),
		"block after the end":      announce(1, 1|8<<1, 0, 0),
		"skippable after the end":  {0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff, 0},
		"check sum after the end":  append(append(bytes.Clone(magic), 0x24, 1), rle(1, 1)...),
		"bytes behind the frame":   append(encodeZstd(nil, nil), 0),
		"not even a magic":         []byte("hello"),
		"nothing":                  nil,
		"a dictionary we have not": append(append(bytes.Clone(magic), 0x21, 9, 1), rle(1, 1)...),
	} {
		allocated := testing.AllocsPerRun(1, func() {
			if _, err := decode(stored, Zstd); err == nil {
				t.Errorf("%s was decoded", name)
			}
		})
		if allocated > 1000 {
			t.Errorf("%s: %v allocations", name, allocated)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encodeZstd(nil, bytes.Repeat([]byte("abc"), 1000)))
	f.Add(encodeZstd(encodeZstd(nil, nil), make([]byte, 1<<18)))
	f.Fuzz(func(t *testing.T, stored []byte) {
		data, err := decode(stored, Zstd)
		if err != nil {
			return
		}
		if bound, err := frameBound(stored); err != nil || int64(len(data)) > bound {
			t.Fatalf("%d bytes came out of frames with the bound %d, %v", len(data), bound, err)
		}
	})
}
