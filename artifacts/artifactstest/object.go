package artifactstest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/cspine/cspine/artifacts"
)

var objectRules = []rule{
	{"ContentComesBackInEveryEncoding", func(t *testing.T, at Location) {
		s := open(t, at)
		for i, e := range []artifacts.Encoding{"", artifacts.Zstd, artifacts.Identity} {
			for _, n := range []int{0, 1, 127, 1 << 20} {
				data := tensor(i, n)
				out, err := s.Put(t.Context(), artifacts.Content{Data: data, Encoding: e})
				if err != nil {
					t.Fatal(err)
				}
				if out.Digest != artifacts.DigestOf(data) || out.Size != int64(n) {
					t.Errorf("%d bytes %q: Put returned %+v", n, e, out)
				}
				wantContent(t, s, out.Digest, data)
				o, err := s.Stat(t.Context(), out.Digest)
				if err != nil || o.Stored != out.Stored || o.Digest != out.Digest {
					t.Errorf("%d bytes %q: Stat says %+v, %v; Put said %+v", n, e, o, err, out)
				}
				if err := s.Remove(t.Context(), out.Digest); err != nil {
					t.Fatal(err)
				}
			}
		}
	}},
	{"AbsentIsNotFound", func(t *testing.T, at Location) {
		s := open(t, at)
		_, err := s.Get(t.Context(), artifacts.DigestOf(nil))
		wantError(t, "Get", err, artifacts.ErrNotFound)
		_, err = s.Stat(t.Context(), artifacts.DigestOf(nil))
		wantError(t, "Stat", err, artifacts.ErrNotFound)
	}},
	{"NoDamagedByteIsServed", func(t *testing.T, at Location) {
		s, behind := open(t, at), at(t)
		for i, e := range []artifacts.Encoding{artifacts.Zstd, artifacts.Identity} {
			data := tensor(i, 300)
			out, err := s.Put(t.Context(), artifacts.Content{Data: data, Encoding: e})
			if err != nil {
				t.Fatal(err)
			}
			key := onlyKey(t, behind, "objects/")
			whole := read(t, behind, key)
			check := func(what string, damaged []byte) {
				replace(t, behind, key, damaged)
				got, err := s.Get(t.Context(), out.Digest)
				if err == nil && bytes.Equal(got, data) {
					return // a bit that says nothing, such as a window size
				}
				if !errors.Is(err, artifacts.ErrCorrupt) {
					t.Errorf("%s %s: got %d bytes and %v, want ErrCorrupt", e, what, len(got), err)
				}
			}
			for at := 0; at < len(whole); at += 3 {
				damaged := bytes.Clone(whole)
				damaged[at] ^= 1 << (at % 8)
				check("with a bit flipped", damaged)
			}
			for _, n := range []int{0, 1, 5, len(whole) / 2, len(whole) - 1} {
				check("cut short", whole[:n])
			}
			check("with something behind it", append(bytes.Clone(whole), 0))
			check("twice", append(bytes.Clone(whole), whole...))
			if err := s.Remove(t.Context(), out.Digest); err != nil {
				t.Fatal(err)
			}
		}
	}},
	{"PutHealsADamagedObject", func(t *testing.T, at Location) {
		s, behind := open(t, at), at(t)
		data := tensor(1, 5000)
		out, err := s.Put(t.Context(), artifacts.Content{Data: data})
		if err != nil {
			t.Fatal(err)
		}
		key := onlyKey(t, behind, "objects/")
		whole := read(t, behind, key)
		flipped := bytes.Clone(whole)
		flipped[len(flipped)/2] ^= 1
		for _, damaged := range [][]byte{flipped, whole[:10], {}} {
			replace(t, behind, key, damaged)
			if _, err := s.Put(t.Context(), artifacts.Content{Data: data}); err != nil {
				t.Fatal(err)
			}
			wantContent(t, s, out.Digest, data)
		}
	}},
	{"AnotherCompressorChangesNoIdentity", func(t *testing.T, at Location) {
		s := open(t, at)
		data := tensor(1, 200_000)
		best := encoder(t)
		first, err := s.Put(t.Context(), artifacts.Content{Data: data, Encode: func(dst, src []byte) []byte {
			half := len(src) / 2 // two frames
			return best.EncodeAll(src[half:], best.EncodeAll(src[:half], dst))
		}})
		if err != nil {
			t.Fatal(err)
		}
		second, err := s.Put(t.Context(), artifacts.Content{Data: data})
		if err != nil {
			t.Fatal(err)
		}
		if first != second {
			t.Errorf("the object changed under its records: %+v became %+v", first, second)
		}
		wantContent(t, s, first.Digest, data)
	}},
	{"EncoderThatLosesBytesIsRefused", func(t *testing.T, at Location) {
		s := open(t, at)
		best := encoder(t)
		for what, encode := range map[string]func(dst, src []byte) []byte{
			"nothing":    func(dst, _ []byte) []byte { return dst },
			"not frames": func(dst, src []byte) []byte { return append(dst, src...) },
			"half":       func(dst, src []byte) []byte { return best.EncodeAll(src[:len(src)/2], dst) },
		} {
			if _, err := s.Put(t.Context(), artifacts.Content{Data: tensor(1, 1000), Encode: encode}); err == nil {
				t.Errorf("an encoder that makes %s was accepted", what)
			}
		}
		if _, err := s.Put(t.Context(), artifacts.Content{Encoding: "brotli"}); err == nil {
			t.Error("an unknown encoding was accepted")
		}
	}},
	{"SealedFramesComeOutAsTheyWerePacked", func(t *testing.T, at Location) {
		s, behind := open(t, at), at(t)
		data := tensor(1, 3000)
		var packed []byte
		best := encoder(t)
		out, err := s.Put(t.Context(), artifacts.Content{Data: data, Frames: "best 1", Encode: func(dst, src []byte) []byte {
			packed = best.EncodeAll(src, nil)
			return append(dst, packed...)
		}})
		if err != nil {
			t.Fatal(err)
		}
		wantContent(t, s, out.Digest, data)
		frames := func(d artifacts.Digest, name string) []byte {
			t.Helper()
			got, content, err := s.Frames(t.Context(), d, name)
			if got == nil {
				want, wantErr := s.Get(t.Context(), d)
				if !bytes.Equal(content, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
					t.Errorf("%s, %q: %d bytes, %v where Get returns %d, %v", d.Short(), name, len(content), err, len(want), wantErr)
				}
			} else if content != nil || err != nil {
				t.Errorf("%s, %q: frames and %d bytes, %v", d.Short(), name, len(content), err)
			}
			return got
		}
		if got := frames(out.Digest, "best 1"); !bytes.Equal(got, packed) {
			t.Errorf("%d bytes came out, %d were packed", len(got), len(packed))
		}
		for _, other := range []string{"", "best", "est 1", "best 2", strings.Repeat("best 1", 1000)} {
			if frames(out.Digest, other) != nil {
				t.Errorf("the frames came out under the name %q", other)
			}
		}
		key := onlyKey(t, behind, "objects/")
		whole := read(t, behind, key)
		for at := range whole {
			damaged := bytes.Clone(whole)
			damaged[at] ^= 1 << (at % 8)
			replace(t, behind, key, damaged)
			if frames(out.Digest, "best 1") != nil {
				t.Errorf("frames came out with a bit flipped at %d of %d", at, len(whole))
			}
		}
		for _, n := range []int{0, 1, len(packed), len(whole) - 1} {
			replace(t, behind, key, whole[:n])
			if frames(out.Digest, "best 1") != nil {
				t.Errorf("frames came out of %d of %d bytes", n, len(whole))
			}
		}
		replace(t, behind, key, packed)
		wantContent(t, s, out.Digest, data)
		// Another object's frames, with their seal, in the place of these.
		if _, err := s.Put(t.Context(), artifacts.Content{Data: tensor(2, 3000), Frames: "best 1", Encode: func(dst, src []byte) []byte { return best.EncodeAll(src, dst) }}); err != nil {
			t.Fatal(err)
		}
		for _, other := range keys(t, behind, "objects/") {
			if other != key {
				replace(t, behind, key, read(t, behind, other))
			}
		}
		if frames(out.Digest, "best 1") != nil {
			t.Error("another object's frames came out")
		}
		plain, err := s.Put(t.Context(), artifacts.Content{Data: tensor(3, 3000)})
		if err != nil {
			t.Fatal(err)
		}
		if frames(plain.Digest, "") != nil || frames(artifacts.DigestOf(nil), "best 1") != nil {
			t.Error("frames of an object without a seal, or of none")
		}
	}},
	{"ObjectsListsAll", func(t *testing.T, at Location) {
		s, behind := open(t, at), at(t)
		var want []artifacts.Object
		for i, e := range []artifacts.Encoding{artifacts.Zstd, artifacts.Identity, artifacts.Zstd} {
			out, err := s.Put(t.Context(), artifacts.Content{Data: tensor(i, 100), Encoding: e})
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, artifacts.Object{Digest: out.Digest, Encoding: e, Stored: out.Stored})
		}
		replace(t, behind, "objects/README", []byte("a stranger"))
		replace(t, behind, "objects/00/"+strings.Repeat("1", 64), []byte("in the wrong folder"))
		var got []artifacts.Object
		for o, err := range s.Objects(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if o.Modified.IsZero() {
				t.Error("no time")
			}
			o.Modified = want[0].Modified
			got = append(got, o)
		}
		order := func(a, b artifacts.Object) int { return bytes.Compare(a.Digest[:], b.Digest[:]) }
		slices.SortFunc(got, order)
		slices.SortFunc(want, order)
		if !slices.Equal(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}},
	{"RemovedIsNotFound", func(t *testing.T, at Location) {
		s := open(t, at)
		for _, e := range []artifacts.Encoding{artifacts.Zstd, artifacts.Identity} {
			if _, err := s.Put(t.Context(), artifacts.Content{Data: []byte("x"), Encoding: e}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Remove(t.Context(), artifacts.DigestOf([]byte("x"))); err != nil {
			t.Fatal(err)
		}
		_, err := s.Get(t.Context(), artifacts.DigestOf([]byte("x")))
		wantError(t, "Get", err, artifacts.ErrNotFound)
	}},
	{"ShortDigestFindsItsOwn", func(t *testing.T, at Location) {
		s, behind := open(t, at), at(t)
		result := do(t, s, recipe(1), gives([]byte("x"), nil))
		for want, kind := range map[artifacts.Digest]artifacts.Kind{
			result.Output.Digest: artifacts.KindObject,
			result.RecipeDigest:  artifacts.KindRecord,
		} {
			for _, short := range []string{want.Short(), want.String(), strings.ToUpper(want.Short())} {
				got, gotKind, err := s.Find(t.Context(), short)
				if err != nil || got != want || gotKind != kind {
					t.Errorf("%s: found %s %s, %v", short, gotKind, got, err)
				}
			}
		}
		twin := result.Output.Digest
		twin[len(twin)-1] ^= 1
		replace(t, behind, "objects/"+twin.String()[:2]+"/"+twin.String()+".zst", nil)
		_, _, err := s.Find(t.Context(), twin.Short())
		wantError(t, "two", err, artifacts.ErrAmbiguous)
		for _, candidate := range []artifacts.Digest{twin, result.Output.Digest} {
			if err != nil && !strings.Contains(err.Error(), candidate.String()) {
				t.Errorf("the error does not list %s: %v", candidate, err)
			}
		}
		_, _, err = s.Find(t.Context(), "0123456789")
		wantError(t, "none", err, artifacts.ErrNotFound)
		for _, bad := range []string{"", "abc", "../../..", "objects", strings.Repeat("a", 65)} {
			if _, _, err := s.Find(t.Context(), bad); err == nil || errors.Is(err, artifacts.ErrNotFound) {
				t.Errorf("%q: error is %v", bad, err)
			}
		}
	}},
}

// encoder returns a Zstandard encoder that is not the store's.
func encoder(t *testing.T) *zstd.Encoder {
	t.Helper()
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		t.Fatal(err)
	}
	return e
}
