package view

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
)

// answer asks a server for a page, which must be there.
func answer(b *testing.B, s *Server, path string) *httptest.ResponseRecorder {
	b.Helper()
	request := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:1"+path, nil)
	request.AddCookie(&http.Cookie{Name: "cspine-view-1", Value: s.Token()})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, request)
	if w.Code != http.StatusOK {
		b.Fatalf("%s: %d %.300s", path, w.Code, w.Body)
	}
	return w
}

// BenchmarkFirstPage is from a server's start to its first page, of a run of 2,000 studies on a local store.
func BenchmarkFirstPage(b *testing.B) {
	store, err := artifacts.Open(b.Context(), b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	manyStudies(b, store, 2000)
	for b.Loop() {
		s := New(store, Options{})
		answer(b, s, "/")
		s.Close()
	}
}

// BenchmarkList is a query of a list of 20,000 studies, once its run is in memory; "first" reads it.
func BenchmarkList(b *testing.B) {
	store, err := artifacts.Open(b.Context(), b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	ref := manyStudies(b, store, 20000)
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			s := New(store, Options{})
			answer(b, s, ref.Path()+"/studies")
			s.Close()
		}
	})
	s := New(store, Options{})
	defer s.Close()
	answer(b, s, ref.Path()+"/studies")
	for name, query := range map[string]string{"page": "?page=200", "sorted": "?sort=found&down=1&page=17", "looked for": "?q=1.2.123", "verdict": "?verdict=refused", "pictures": "?grid=1&page=3"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				answer(b, s, ref.Path()+"/studies"+query)
			}
		})
	}
}

// BenchmarkStudyPage is a study's page with the pictures that it shows first, by a server that has not seen the study, on a local store: a volume of
// noise, which is the worst to unpack and to draw, and a mask of seven cubes.
func BenchmarkStudyPage(b *testing.B) {
	store, err := artifacts.Open(b.Context(), b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	put := func(a *npy.Array) string {
		out, err := store.Put(b.Context(), artifacts.Content{Data: a.Bytes()})
		if err != nil {
			b.Fatal(err)
		}
		return out.Digest.String()
	}
	vol, mask := npy.New(npy.Uint8, 128, 128, 128), npy.New(npy.Uint8, volume.Levels, 128, 128, 128)
	state := uint32(1)
	for i := range vol.Data {
		state = state*1664525 + 1013904223
		vol.Data[i] = byte(state >> 24)
	}
	for level := range volume.Levels {
		for i := range 20 * 20 * 12 {
			row, column, slice := 50+i/240, 50+i/12%20, 10+14*level+i%12
			mask.Data[((level*128+row)*128+column)*128+slice] = 255
		}
	}
	volumeDigest, maskDigest := put(vol), put(mask)
	var rows []artifacts.Row
	for _, step := range []struct{ name, digest string }{{"resample", volumeDigest}, {"segment", maskDigest}} {
		rows = append(rows, artifacts.Row{Subject: "1.2.3", Step: step.name, Transform: step.name, Version: 1, Digest: step.digest, Verdict: "ok"})
	}
	file, err := artifacts.WriteManifest(rows)
	if err != nil {
		b.Fatal(err)
	}
	ref := runRef{"bench", "20260102T030405.000Z"}
	if err := store.PutNamed(b.Context(), ref.key(), file); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s := New(store, Options{})
		page := answer(b, s, ref.Path()+"/studies/1.2.3")
		if !bytes.Contains(page.Body.Bytes(), []byte(volumeDigest)) {
			b.Fatal("the page has no volume")
		}
		for _, plane := range []string{sagittal, coronal, axial} {
			answer(b, s, fmt.Sprintf("/slices/%s/%s/64", volumeDigest, plane))
			answer(b, s, fmt.Sprintf("/masks/%s/%s/64", maskDigest, plane))
		}
		s.Close()
	}
}
