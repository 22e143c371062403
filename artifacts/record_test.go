package artifacts

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func someRecord() Record {
	return Record{
		Format:  recordFormat,
		Recipe:  Recipe{Transform: "crop", Version: 2, Params: []Param{{"size", "224"}}, Inputs: []Input{{"mask", Digest{1}}}},
		Output:  Output{Digest: Digest{2}, Size: 10, Stored: 5, Encoding: Zstd},
		Note:    json.RawMessage(`{"found":true}`),
		Created: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Seconds: 0.1,
	}
}

func TestRecordComesBack(t *testing.T) {
	want := someRecord()
	file, err := encodeRecord(want)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(file) || bytes.Count(file, []byte("\n")) != 1 {
		t.Errorf("a record's file is one line of JSON, this is %s", file)
	}
	got, err := parseRecord(file, want.Recipe.Digest())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRecordThatClaimsTheImpossibleIsCorrupt(t *testing.T) {
	for name, change := range map[string]func(r *Record){
		"newer format":     func(r *Record) { r.Format++ },
		"unknown encoding": func(r *Record) { r.Output.Encoding = "brotli" },
		"negative size":    func(r *Record) { r.Output.Size = -1 },
		"negative stored":  func(r *Record) { r.Output.Stored = -1 },
	} {
		r := someRecord()
		change(&r)
		file, err := encodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseRecord(file, r.Recipe.Digest()); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	r := someRecord()
	recipe := r.Recipe.Digest()
	file, err := encodeRecord(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file, true)
	f.Add(file[:len(file)-checkLen], false)
	f.Add([]byte(`{"format":1,"recipe":{"transform":"x","inputs":[{"digest":"00"}]}`), false)
	f.Fuzz(func(t *testing.T, file []byte, whole bool) {
		if !whole { // past the check sum, into the JSON
			check := DigestOf(append(bytes.Clone(file), '}'))
			file = append(append(append(file, checkOpen...), check.String()...), checkClose...)
		}
		before := bytes.Clone(file)
		got, err := parseRecord(file, recipe)
		if !bytes.Equal(file, before) {
			t.Fatal("the file was changed")
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("error of no kind: %v", err)
		}
		if err == nil && got.Recipe.Digest() != recipe {
			t.Fatal("a record of another recipe was accepted")
		}
	})
}
