package transforms

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/cspine/cspine/artifacts"
)

func digestOf(text string) string { return artifacts.DigestOf([]byte(text)).String() }

var (
	someStudy = Study{Folder: "train_images/1.2.826.0.1.3680043.10", UID: "1.2.826.0.1.3680043.10", Index: digestOf("i"), Volume: digestOf("v"), Mask: digestOf("m"),
		Boxes: digestOf("b"), Segmenter: digestOf("s")}
	someSample = Sample{Folder: "train_images/1.2.826.0.1.3680043.10", UID: "1.2.826.0.1.3680043.10", Level: 3, Found: true, Index: digestOf("i"), Crop: digestOf("c"), Mask: digestOf("m"),
		Segmenter: digestOf("s"), Box: []int{40, 60, 41, 63, 30, 39}, SourceBox: []int{160, 240, 164, 252, 70, 92}, ZPositions: []int{70, 72, 73, 75, 76, 78, 79, 81, 83, 84, 86, 87, 89, 90, 91}}
)

func someRow() artifacts.Row {
	gave, _ := json.Marshal(someStudy)
	return artifacts.Row{Subject: someStudy.UID, Step: "segment", Transform: "segment", Version: 1, Recipe: digestOf("r"), Digest: digestOf("d"), Why: "new", Seconds: 1.25,
		Bytes: 1835136, Stored: 20311, Verdict: OK, Given: digestOf("g"), Gave: string(gave)}
}

func TestElementsComeBackAsTheyWere(t *testing.T) {
	odd := someRow()
	// Texts that look like what is shortened, or like its mark.
	odd.Detail = strings.Repeat("0123456789abcdef", 9) + "g\x00é\xff" + strings.ToUpper(digestOf("x")) + digestOf("y") + digestOf("z")
	odd.Gave, odd.Seconds = "\x01", math.Inf(-1)
	again, many := someRow(), someRow()
	again.Gave = again.Digest + again.Recipe + "\x02" + again.Digest
	again.Remedy = again.Digest + again.Recipe + again.Digest
	for i := range 300 { // more than can be told by their number, and then all of them again
		many.Detail += digestOf(strconv.Itoa(i%260)) + " "
	}
	for name, row := range map[string]artifacts.Row{"usual": someRow(), "odd": odd, "again": again, "many": many, "empty": {}} {
		if got, err := decodeRow(encodeRow(row)); err != nil || got != row {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if got, err := decodeStudy(encodeStudy(someStudy)); err != nil || got != someStudy {
		t.Errorf("%+v, %v", got, err)
	}
	for _, sample := range []Sample{someSample, {}} {
		if got, err := decodeSample(encodeSample(sample)); err != nil || !reflect.DeepEqual(got, sample) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestElementsAreSmall(t *testing.T) {
	for name, c := range map[string]struct {
		v      any
		packed []byte
	}{"row": {someRow(), encodeRow(someRow())}, "study": {someStudy, encodeStudy(someStudy)}, "sample": {someSample, encodeSample(someSample)}} {
		text, _ := json.Marshal(c.v)
		t.Logf("%s: %d bytes of JSON, %d packed", name, len(text), len(c.packed))
		if 2*len(c.packed) > len(text)+50 {
			t.Errorf("%s: %d bytes, of %d of JSON", name, len(c.packed), len(text))
		}
	}
}

func TestEveryElementCanBePacked(t *testing.T) {
	_, _, _ = pack(artifacts.Row{}), pack(Study{}), pack(Sample{}) // a field of another kind would panic
}

func FuzzUnpack(f *testing.F) {
	good := encodeSample(someSample)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte{0x06, 0x02, 0x00, 0x02}) // a digest of which there is none yet
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decodeSample(b); err == nil && len(encodeSample(s)) == 0 {
			t.Error("nothing comes of it")
		}
	})
}

func BenchmarkRow(b *testing.B) {
	row := someRow()
	for b.Loop() {
		if _, err := decodeRow(encodeRow(row)); err != nil {
			b.Fatal(err)
		}
	}
}
