package pipelines

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/phantom"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/ingest"
	"github.com/cspine/cspine/transforms/shard"
)

// TestAFolderOfManyThingsGivesItsSeriesVolume puts beside a series what an export of a whole study has: a second, shorter series, a localizer, a structured
// report, a slice whose transfer broke off, and a text.
func TestAFolderOfManyThingsGivesItsSeriesVolume(t *testing.T) {
	b := &bench{t: t, data: filepath.Join(t.TempDir(), "data")}
	b.site = transforms.Site{Data: b.data, Store: filepath.Join(t.TempDir(), "store")}
	if _, err := phantom.Write(t.Context(), b.data, phantom.Options{Studies: 1, Slices: 40, Masks: 1, Seed: 3, Size: 96, Syntax: "explicit"}); err != nil {
		t.Fatal(err)
	}
	prepare := func() []artifacts.Row {
		return b.planAndRun(func(s beam.Scope, site transforms.Site, id string) {
			Prepare(s, PrepareOptions{Site: site, Run: "test", ID: id, Ingest: ingest.Options{SetAside: []refusal.Code{ingest.Damaged}}, Shard: shard.Layout{Buckets: 1}})
		})
	}
	made := func(rows []artifacts.Row) map[string]string {
		digests := map[string]string{}
		for _, r := range where(rows, func(r artifacts.Row) bool { return r.Step != "index" && r.Digest != "" }) {
			digests[r.Step+" "+r.Part] = r.Digest
		}
		return digests
	}
	want := made(prepare())

	study := b.studies()[0]
	slice := func(name string) []byte { return read(t, filepath.Join(study, name)) }
	put := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(study, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	series := element(t, slice("1.dcm"), 0x20, 0x0e)
	other := slices.Concat(series[:len(series)-1], []byte{'9'})
	for _, name := range []string{"1.dcm", "12.dcm", "20.dcm", "21.dcm"} {
		put("b"+name, set(t, slice(name), 0x20, 0x0e, other))
	}
	put("scout", set(t, slice("1.dcm"), 0x08, 0x08, []byte(`ORIGINAL\PRIMARY\LOCALIZER`)))
	put("broken.part", slice("7.dcm")[:1500])
	put("notes.txt", []byte("see the report"))
	report := set(t, slice("3.dcm"), 0x08, 0x60, []byte("SR"))
	put("report", report[:bytes.LastIndex(report, []byte{0xe0, 0x7f, 0x10, 0x00, 'O', 'W'})])

	rows := prepare()
	if diff := cmp.Diff(want, made(rows)); diff != "" {
		t.Error(diff)
	}
	row := where(rows, func(r artifacts.Row) bool { return r.Step == "index" && r.Digest != "" })[0]
	data, err := b.store().Get(t.Context(), parse(t, row.Digest))
	if err != nil {
		t.Fatal(err)
	}
	index, err := ingest.Unmarshal(data)
	if err != nil {
		t.Fatal(err)
	}
	aside := map[string]refusal.Code{}
	for _, s := range index.SetAside {
		aside[s.File] = s.Code
	}
	if diff := cmp.Diff(map[string]refusal.Code{"b1.dcm": ingest.OtherSeries, "b12.dcm": ingest.OtherSeries, "b20.dcm": ingest.OtherSeries, "b21.dcm": ingest.OtherSeries,
		"scout": ingest.OtherSeries, "broken.part": ingest.Damaged, "notes.txt": ingest.NotDICOM, "report": ingest.NotCT}, aside); diff != "" {
		t.Error(diff)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// find returns where an element of a phantom's file begins, whose value has a short length, in explicit little endian.
func find(t *testing.T, file []byte, group, number uint16) int {
	t.Helper()
	tag := binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, group), number)
	at := bytes.LastIndex(file[:2000], tag)
	if at < 0 {
		t.Fatalf("no element %04x,%04x", group, number)
	}
	return at
}

func element(t *testing.T, file []byte, group, number uint16) []byte {
	at := find(t, file, group, number) + 8
	return file[at:][:binary.LittleEndian.Uint16(file[at-2:])]
}

// set returns a copy of a file with another value of an element.
func set(t *testing.T, file []byte, group, number uint16, value []byte) []byte {
	at, old := find(t, file, group, number), element(t, file, group, number)
	return slices.Concat(file[:at+6], binary.LittleEndian.AppendUint16(nil, uint16(len(value))), value, file[at+8+len(old):])
}
