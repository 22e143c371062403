package shard

import (
	"bytes"
	"fmt"
	"math/bits"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The expected values are from Python:
// int.from_bytes(hashlib.sha256(b"cspine shard\0" + uid).digest()[:8], "big") % n
func TestBucketsAndFoldsNeverChange(t *testing.T) {
	for _, c := range []struct {
		uid               string
		bucket8, bucket64 int
		fold5             int
	}{
		{"1.2.826.0.1.3680043.6200", 1, 33, 2},
		{"1.2.826.0.1.3680043.27262", 1, 9, 2},
		{"", 0, 16, 1},
	} {
		got := []int{Bucket(c.uid, 8), Bucket(c.uid, 64), Fold(c.uid, 5)}
		if diff := cmp.Diff([]int{c.bucket8, c.bucket64, c.fold5}, got); diff != "" {
			t.Errorf("%q: %s", c.uid, diff)
		}
	}
	if Bucket("x", 1) != 0 || Fold("x", 0) != 0 {
		t.Error("one bucket is not 0")
	}
}

func TestFoldsAreIndependentOfBuckets(t *testing.T) {
	var n [4][5]int
	for i := range 8000 {
		uid := fmt.Sprintf("1.2.3.%d", i)
		n[Bucket(uid, 4)][Fold(uid, 5)]++
	}
	for b := range n {
		for f, k := range n[b] {
			if k < 320 || k > 480 {
				t.Errorf("bucket %d has %d studies of fold %d, not about 400", b, k, f)
			}
		}
	}
}

func TestBucketsDouble(t *testing.T) {
	last := 1
	for studies := range 5000 {
		n := Buckets(Crops, studies)
		if bits.OnesCount(uint(n)) != 1 || n != last && n != 2*last {
			t.Fatalf("%d studies go into %d shards, one fewer into %d", studies, n, last)
		}
		last = n
	}
	if n := Buckets(Crops, 2019); n != 128 {
		t.Errorf("2,019 studies go into %d shards", n)
	}
}

func TestLabelsAreRead(t *testing.T) {
	const head = "StudyInstanceUID,patient_overall,C1,C2,C3,C4,C5,C6,C7"
	one, zero := 1, 0
	want := map[string]Labels{
		"1.2": {Patient: &one, Levels: [7]*int{&zero, &one, &zero, &zero, &zero, &zero, &zero}},
		"1.3": {Levels: [7]*int{&zero, nil, &zero, &zero, &zero, &zero, &one}},
	}
	for name, file := range map[string]string{
		"plain":   head + "\n1.2,1,0,1,0,0,0,0,0\n1.3,,0,,0,0,0,0,1\n",
		"windows": "\uFEFF" + head + "\r\n1.2,1,0,1,0,0,0,0,0\r\n1.3,,0,,0,0,0,0,1",
		"order":   "x,C7,C6,C5,C4,C3,C2,C1,patient_overall,StudyInstanceUID\nx,0,0,0,0,0,1,0,1,1.2\n,1,0,0,0,0,,0,,1.3\n",
		"quotes":  head + "\n\"1.2\",1, 0,1,0,0,0,0,0\n\n1.3,,0,,0,0,0,0,1\n",
	} {
		got, err := ReadLabels(strings.NewReader(file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for name, c := range map[string]struct{ file, says string }{
		"empty":   {"", "header"},
		"column":  {"StudyInstanceUID,patient_overall,C1\n", "no column C2"},
		"value":   {head + "\n1.2,1,0,1,0,0,0,0,0\n1.3,1,0,2,0,0,0,0,0\n", "line 3: C2"},
		"short":   {head + "\n1.2,1,0\n", "line 2"},
		"twice":   {head + "\n1.2,1,0,1,0,0,0,0,0\n1.2,1,0,1,0,0,0,0,0\n", "line 3"},
		"no uid":  {head + "\n,1,0,1,0,0,0,0,0\n", "line 2"},
		"garbage": {head + "\n\"1.2,1,0\n", "line 2"},
	} {
		if _, err := ReadLabels(strings.NewReader(c.file)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q", name, err, c.says)
		}
	}
}

func FuzzReadLabels(f *testing.F) {
	f.Add([]byte("StudyInstanceUID,patient_overall,C1,C2,C3,C4,C5,C6,C7\n1.2,1,0,1,0,0,0,0,0\n"))
	f.Fuzz(func(_ *testing.T, file []byte) { _, _ = ReadLabels(bytes.NewReader(file)) })
}

func TestManifestSumsUpItsShardsInAnyOrder(t *testing.T) {
	samples := samplesOf(7, 2, 8, 8)
	a := NewPart("shard-0000.parquet", 1000, "aa", samples[:4])
	b := NewPart("shard-0001.parquet", 500, "bb", samples[4:])
	notFound := map[string]int{"C1": 2, "C7": 1}
	one, err := NewManifest(Crops, "demo", []Part{a, b}, notFound).JSON()
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewManifest(Crops, "demo", []Part{b, a}, notFound).JSON()
	if err != nil || !bytes.Equal(one, other) {
		t.Errorf("the order of parts changes the manifest, or %v", err)
	}
	m, err := ReadManifest(one)
	if err != nil {
		t.Fatal(err)
	}
	again, err := m.JSON()
	if err != nil || !bytes.Equal(one, again) {
		t.Errorf("a manifest changes by being read, or %v", err)
	}
	if m.Samples != 7 || m.Bytes != 1500 || m.Raw != 7*128 || m.Levels["C1"] != (Found{1, 2}) || m.Levels["C7"] != (Found{1, 1}) {
		t.Errorf("%+v", m)
	}
	if want := (Balance{Vertebra: "C2", Fold: 1, Fractured: 1}); m.Balance[1] != want {
		t.Errorf("balance %+v, want %+v", m.Balance[1], want)
	}
	for _, bad := range []string{"", "{}", `{"version":"2"}`, `{"version":"1","x":0}`} {
		if _, err := ReadManifest([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestPartOfAReaderIsThePartOfItsSamples(t *testing.T) {
	samples := samplesOf(7, 2, 8, 8)
	file := write(t, samples, 1)
	got, err := PartOf("x", "aa", open(t, file))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(NewPart("x", int64(len(file)), "aa", samples), got, cmp.AllowUnexported(Part{})); diff != "" {
		t.Error(diff)
	}
}

func TestSchemaIsTheShards(t *testing.T) {
	r := open(t, write(t, samplesOf(1, 2, 2), 1))
	var got []string
	for _, c := range r.file.Schema().Columns() {
		got = append(got, c[0])
	}
	var want []string
	for _, c := range schema(Crops) {
		want = append(want, c.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
