package dicom

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestElementsEqualPydicoms compares the lists of elements with pydicom's (testdata/make_elements.py).
func TestElementsEqualPydicoms(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "elements.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string][]string
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for name, want := range all {
		t.Run(filepath.Base(name), func(t *testing.T) {
			dir := filepath.Join("testdata", "pydicom")
			if strings.Contains(name, "/") {
				dir = testData(t)
			}
			file, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			elements, err := Elements(bytes.NewReader(file), int64(len(file)), true, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range elements {
				if e.Keyword == "Item" {
					got = append(got, fmt.Sprintf("%d Item", e.Depth))
					continue
				}
				got = append(got, fmt.Sprintf("%d %s %s %d %s", e.Depth, e.Tag, e.VR, e.Length, e.Keyword))
			}
			for i := range min(len(got), len(want)) {
				if unknown := regexp.MustCompile(`\) .. \?`); unknown.MatchString(want[i]) {
					got[i], want[i] = unknownLength.ReplaceAllString(got[i], " ? "), unknownLength.ReplaceAllString(want[i], " ? ")
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pydicom -, ours +:\n%s", diff)
			}
		})
	}
}

var unknownLength = regexp.MustCompile(` (-?[0-9]+|\?) `)

func TestElementsHideValues(t *testing.T) {
	w := part10(ExplicitLittleEndian)
	w.text(0x00080005, "CS", "ISO_IR 192")
	w.text(tagModality, "CS", "SMITH^JOHN")
	w.text(tagPatientName, "PN", "SMITH^JOHN")
	w.text(0x00090010, "LO", "SMITH")
	w.text(0x00091001, "LO", "SMITH")
	w.text(tagInstanceNumber, "IS", "SMITH")
	w.text(tagRescaleType, "LO", "SMITH")
	w.text(tagSlope, "DS", "1.5")
	w.short(tagRows, "US", 12)
	for _, values := range []bool{false, true} {
		all, err := Elements(bytes.NewReader(w.buf), int64(len(w.buf)), values, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var shown []string
		for _, e := range all {
			if e.Private != strings.HasPrefix(e.Tag, "(0009,") {
				t.Errorf("%s: private %v", e.Tag, e.Private)
			}
			if e.Value != "" {
				shown = append(shown, e.Value)
			}
		}
		want := []string{string(ExplicitLittleEndian), "1.5", "12"}
		if values {
			want = []string{string(ExplicitLittleEndian), "ISO_IR 192", "SMITH^JOHN", "SMITH^JOHN", "SMITH", "SMITH", "SMITH", "SMITH", "1.5", "12"}
		}
		if !slices.Equal(shown, want) {
			t.Errorf("with values %v: %q, want %q", values, shown, want)
		}
	}
}

func TestElementsEscapeAndCutValues(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{"a\x1b[31mred", `a\x1b[31mred`},
		{"line\nfeed", `line\nfeed`},
		{`one\two "and"`, `one\two "and"`},
		{strings.Repeat("x", 200), strings.Repeat("x", shownValue) + "…"},
		{strings.Repeat("x", shownValue-1) + "öö", strings.Repeat("x", shownValue-1) + "…"},
		{"\u202egnp", `\u202egnp`},
	} {
		w := part10(ExplicitLittleEndian)
		w.text(tagManufacturer, "LO", c.value)
		all, err := Elements(bytes.NewReader(w.buf), int64(len(w.buf)), true, Limits{})
		if err != nil || all[len(all)-1].Value != c.want {
			t.Errorf("%q: %q, %v; want %q", c.value, all[len(all)-1].Value, err, c.want)
		}
	}
}

func TestElementsOfSpoiltFilesEndWithAReason(t *testing.T) {
	for _, h := range hostile {
		file := h.file()
		all, err := Elements(bytes.NewReader(file), int64(len(file)), true, Limits{})
		if err != nil && codeOf(err) == "" || len(all) > defaultElements {
			t.Errorf("%s: %d elements, %v", h.name, len(all), err)
		}
	}
	for _, ts := range syntaxes {
		file := mustEncode(t, phantomSlice(8, 12, true), ts)
		for n := range file {
			if _, err := Elements(bytes.NewReader(file[:n]), int64(n), true, Limits{}); err != nil && codeOf(err) == "" {
				t.Fatalf("%s, %d bytes: %v", ts.Name(), n, err)
			}
		}
	}
}
