package sandbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// images are those of small files of pydicom's; package dicom's tests compare what comes out with pydicom's values.
func images(t testing.TB) map[string]struct {
	codec Codec
	data  []byte
	image Image
} {
	t.Helper()
	all := map[string]struct {
		codec Codec
		data  []byte
		image Image
	}{}
	for name, c := range map[string]struct {
		codec Codec
		start string // of the image within the file
		image Image
	}{
		"693_J2KI.dcm":              {JPEG2000, "\xff\x4f\xff\x51", Image{512, 512, 16, 14, true}},
		"MR_small_jp2klossless.dcm": {JPEG2000, "\xff\x4f\xff\x51", Image{64, 64, 16, 16, true}},
		"JPGExtended.dcm":           {JPEG, "\xff\xd8\xff", Image{1024, 256, 16, 12, false}},
	} {
		file, err := os.ReadFile(filepath.Join("..", "testdata", "pydicom", name))
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(file, []byte(c.start))
		if at < 4 {
			t.Fatalf("%s has no image", name)
		}
		n := int(binary.LittleEndian.Uint32(file[at-4:]))
		all[name] = struct {
			codec Codec
			data  []byte
			image Image
		}{c.codec, file[at:][:n], c.image}
	}
	return all
}

func TestManyAtOnceGiveTheSame(t *testing.T) {
	for name, im := range images(t) {
		want, err := Decode(im.codec, im.data, im.image)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(want) != im.image.bytes() {
			t.Errorf("%s: %d bytes", name, len(want))
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 3 {
					if got, err := Decode(im.codec, im.data, im.image); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%s: again: %v", name, err)
					}
				}
			})
		}
		all.Wait()
	}
}

func TestImagesOfOtherSizesAreRefused(t *testing.T) {
	for name, im := range images(t) {
		for _, change := range []func(*Image){func(im *Image) { im.Rows++ }, func(im *Image) { im.Columns-- }, func(im *Image) { im.Rows, im.Columns = 65535, 65535 }} {
			other := im.image
			change(&other)
			if _, err := Decode(im.codec, im.data, other); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s as %+v: %v", name, other, err)
			}
		}
		for _, data := range [][]byte{nil, {0xff}, []byte("\xff\xd8\xff\xff\xff\xff"), im.data[:4], bytes.Repeat([]byte{0xff}, 100)} {
			if _, err := Decode(im.codec, data, im.image); !errors.Is(err, ErrMalformed) {
				t.Errorf("%d bytes of %s: %v", len(data), name, err)
			}
		}
	}
}

// TestMutantsHarmNobody spoils images; whatever becomes of them, the next sound one decodes as ever.
func TestMutantsHarmNobody(t *testing.T) {
	r := rand.New(rand.NewSource(7))
	for name, im := range images(t) {
		want, err := Decode(im.codec, im.data, im.image)
		if err != nil {
			t.Fatal(name, err)
		}
		refused := 0
		for range 40 {
			b := bytes.Clone(im.data)
			switch r.Intn(3) {
			case 0:
				b = b[:r.Intn(len(b))]
			case 1:
				for range 1 + r.Intn(5) {
					b[r.Intn(min(len(b), 400))] = byte(r.Intn(256))
				}
			default:
				for range 20 {
					b[r.Intn(len(b))] ^= 1 << r.Intn(8)
				}
			}
			if _, err := Decode(im.codec, b, im.image); err != nil {
				refused++
				if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooMuch) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if refused == 0 {
			t.Errorf("%s: no mutant was refused", name)
		}
		if got, err := Decode(im.codec, im.data, im.image); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s after its mutants: %v", name, err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, im := range images(b) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Decode(im.codec, im.data, im.image); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
