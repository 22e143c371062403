package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/phantom"
	"github.com/cspine/cspine/internal/pseudonym"
	"github.com/cspine/cspine/transforms/score"
	"github.com/cspine/cspine/transforms/shard"
	"github.com/cspine/cspine/view"
)

// marked begins what stands for a patient's data in these tests. It must not be found where it was not put.
const marked = "CANARY"

// texts are elements in which a hospital writes about patients, staff and itself, by their VR.
var texts = map[string][]uint32{
	"PN": {0x00080090, 0x00081048, 0x00081050, 0x00081060, 0x00081070, 0x00100010, 0x00101001, 0x00101005, 0x00101060, 0x00321032},
	"LO": {0x00080080, 0x00081030, 0x0008103e, 0x00081040, 0x00081080, 0x00081090, 0x00100020, 0x00100021, 0x00101000, 0x00101040, 0x00102000, 0x00102110,
		0x001021f0, 0x00181000, 0x00181020, 0x00181030, 0x00201040, 0x00281055, 0x00321060, 0x00380010, 0x00400254, 0x00090010, 0x00091001},
	"SH": {0x00080050, 0x00080094, 0x00081010, 0x00102154, 0x00102160, 0x00102180, 0x00200010, 0x00401001, 0x00091002},
	"ST": {0x00080081, 0x00080092}, "LT": {0x001021b0, 0x00104000, 0x00204000, 0x00324000}, "AE": {0x00080054},
	"DA": {0x00080012, 0x00080020, 0x00080021, 0x00080022, 0x00080023, 0x00100030, 0x00181200}, "DT": {0x0008002a}, "TM": {0x00080013, 0x00080030, 0x00100032},
	// These are read, and go nowhere.
	"XX": {0x00080070, 0x00181210, 0x00180015},
}

// read are elements that a slice is read by, with their VR: a patient's data in them is a fault that errors must not quote.
var read = map[uint32]string{
	0x00020010: "UI", 0x00080005: "CS", 0x00080008: "CS", 0x00080016: "UI", 0x00080018: "UI", 0x00080060: "CS", 0x00180050: "DS", 0x00181120: "DS",
	0x0020000d: "UI", 0x0020000e: "UI", 0x00200013: "IS", 0x00200032: "DS", 0x00200037: "DS", 0x00200052: "UI", 0x00280004: "CS", 0x00280008: "IS",
	0x00280030: "DS", 0x00281052: "DS", 0x00281053: "DS",
}

// slice is a DICOM file, explicit little endian, of which elements can be put in.
type slice struct {
	head     []byte // preamble and prefix
	elements map[uint32][]byte
}

func parseSlice(t *testing.T, file []byte) *slice {
	t.Helper()
	const prefix = 132
	s := &slice{slices.Clone(file[:prefix]), map[uint32][]byte{}}
	for at := prefix; at < len(file); {
		tag := uint32(binary.LittleEndian.Uint16(file[at:]))<<16 | uint32(binary.LittleEndian.Uint16(file[at+2:]))
		n := 8 + int(binary.LittleEndian.Uint16(file[at+6:]))
		if vr := string(file[at+4 : at+6]); vr == "OB" || vr == "OW" || vr == "SQ" {
			n = 12 + int(binary.LittleEndian.Uint32(file[at+8:]))
		}
		s.elements[tag] = file[at:][:n]
		at += n
	}
	return s
}

func elementOf(tag uint32, vr string, value []byte) []byte {
	e := binary.LittleEndian.AppendUint16(nil, uint16(tag>>16))
	e = append(binary.LittleEndian.AppendUint16(e, uint16(tag)), vr...)
	if vr == "SQ" {
		e = binary.LittleEndian.AppendUint32(append(e, 0, 0), uint32(len(value)))
	} else {
		e = binary.LittleEndian.AppendUint16(e, uint16(len(value)))
	}
	return append(e, value...)
}

func (s *slice) put(tag uint32, vr, text string) {
	s.elements[tag] = elementOf(tag, vr, []byte(text+strings.Repeat(" ", len(text)%2)))
}

// sequence puts in an item that holds what is put in by fill, and an item in that.
func (s *slice) sequence(tag uint32, fill func(*slice)) {
	inner := &slice{elements: map[uint32][]byte{}}
	fill(inner)
	item := func(content []byte) []byte {
		return append(binary.LittleEndian.AppendUint32([]byte{0xfe, 0xff, 0x00, 0xe0}, uint32(len(content))), content...)
	}
	deep := item(inner.body())
	inner.elements[0x00400275] = elementOf(0x00400275, "SQ", deep)
	s.elements[tag] = elementOf(tag, "SQ", item(inner.body()))
}

func (s *slice) body() (body []byte) {
	tags := make([]uint32, 0, len(s.elements))
	for tag := range s.elements {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	for _, tag := range tags {
		body = append(body, s.elements[tag]...)
	}
	return body
}

func (s *slice) file() []byte {
	meta := 0
	for tag, e := range s.elements {
		if tag>>16 == 2 && tag != 0x00020000 {
			meta += len(e)
		}
	}
	s.elements[0x00020000] = elementOf(0x00020000, "UL", binary.LittleEndian.AppendUint32(nil, uint32(meta)))
	return append(slices.Clone(s.head), s.body()...)
}

// hospital writes into a slice what a hospital's has.
func (s *slice) hospital() {
	copy(s.head, marked+"PREAMBLE")
	fill := func(s *slice) {
		for vr, tags := range texts {
			for _, tag := range tags {
				text := fmt.Sprintf("%s%08X", marked, tag)
				switch vr {
				case "PN":
					text += "^JANE"
				case "DA":
					text = marked + "DA" // eight characters
				case "XX":
					vr = "LO"
				}
				s.put(tag, vr, text)
			}
		}
	}
	for _, tag := range []uint32{0x00081111, 0x00081140, 0x00400275, 0x00101002} {
		s.sequence(tag, fill)
	}
	fill(s)
	s.put(0x00080008, "CS", `ORIGINAL\PRIMARY\`+marked+"^TYPE")
}

// testArchive is a data set on disk, and a place for what is made of it.
type testArchive struct {
	t    *testing.T
	dir  string
	said map[string][]byte // what commands wrote to the terminal
}

func newArchive(t *testing.T, studies, masks int) (a *testArchive, uids []string) {
	t.Helper()
	a = &testArchive{t, t.TempDir(), map[string][]byte{}}
	sum, err := phantom.Write(t.Context(), a.at("data"), phantom.Options{Studies: studies, Slices: 40, Masks: masks, Seed: 5, Size: 96, Syntax: "explicit"})
	if err != nil {
		t.Fatal(err)
	}
	return a, sum.StudyUIDs
}

func (a *testArchive) at(name ...string) string {
	return filepath.Join(append([]string{a.dir}, name...)...)
}

func (a *testArchive) write(file string, data []byte) {
	a.t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o666); err != nil {
		a.t.Fatal(err)
	}
}

func (a *testArchive) read(file string) []byte {
	a.t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		a.t.Fatal(err)
	}
	return data
}

func (a *testArchive) rename(from, to string) {
	a.t.Helper()
	if err := os.Rename(from, to); err != nil {
		a.t.Fatal(err)
	}
}

// slices lists the files of a study.
func (a *testArchive) slices(folder string) []string {
	a.t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.dcm"))
	if err != nil || len(files) == 0 {
		a.t.Fatal("no slices in", folder, err)
	}
	return files
}

// each changes all slices of a study.
func (a *testArchive) each(folder string, change func(*slice)) {
	a.t.Helper()
	for _, name := range a.slices(folder) {
		s := parseSlice(a.t, a.read(name))
		change(s)
		a.write(name, s.file())
	}
}

// cspine runs a command as users do, expects its status, and keeps all that it writes.
func (a *testArchive) cspine(status int, args ...string) (stdout []byte) {
	a.t.Helper()
	c := exec.CommandContext(a.t.Context(), "cspine", args...)
	c.Dir = a.dir
	var out, all bytes.Buffer
	c.Stdout, c.Stderr = io.MultiWriter(&out, &all), &all
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		a.t.Fatal(err)
	}
	if got := c.ProcessState.ExitCode(); got != status {
		a.t.Fatalf("cspine %s: status %d, want %d: %s", strings.Join(args, " "), got, status, all.Bytes()[max(0, all.Len()-2000):])
	}
	a.said["cspine "+strings.Join(args, " ")] = all.Bytes()
	return out.Bytes()
}

// stored calls look with every file of a store as it is, and with every object unpacked. index tells that it is a study's index, or its record.
func (a *testArchive) stored(store string, look func(name string, data []byte, index bool)) {
	a.t.Helper()
	ctx := a.t.Context()
	s, err := artifacts.Open(ctx, a.at(store), &artifacts.Options{MustExist: true})
	if err != nil {
		a.t.Fatal(err)
	}
	defer s.Close()
	indexes := map[string]bool{}
	for r, err := range s.Records(ctx) {
		if err != nil {
			a.t.Fatal(err)
		}
		if r.Recipe.Transform == "index" {
			indexes[r.RecipeDigest.String()], indexes[r.Output.Digest.String()] = true, true
		}
	}
	if len(indexes) == 0 {
		a.t.Fatal("no index was stored")
	}
	for o, err := range s.Objects(ctx) {
		if err != nil {
			a.t.Fatal(err)
		}
		data, err := s.Get(ctx, o.Digest)
		if err != nil {
			a.t.Fatal(err)
		}
		look("object "+o.Digest.String(), data, indexes[o.Digest.String()])
	}
	a.files(store, func(name string, data []byte) {
		digest, _, _ := strings.Cut(filepath.Base(name), ".")
		look(name, data, indexes[digest])
	})
}

// files calls look with every file of a folder.
func (a *testArchive) files(folder string, look func(name string, data []byte)) {
	a.t.Helper()
	err := filepath.WalkDir(a.at(folder), func(file string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(a.dir, file)
			look(name, a.read(file))
		}
		return err
	})
	if err != nil {
		a.t.Fatal(err)
	}
}

// shows fails if something has one of these texts: in its name, in its bytes, or in a value of a Parquet file.
func (a *testArchive) shows(name string, data []byte, secrets []string) {
	a.t.Helper()
	all := [][]byte{[]byte(name), data}
	if bytes.HasPrefix(data, []byte("PAR1")) {
		all = append(all, parquetValues(a.t, name, data))
	}
	for _, text := range all {
		for _, secret := range secrets {
			if i := bytes.Index(text, []byte(secret)); i >= 0 {
				a.t.Errorf("%s shows %q", name, text[max(0, i-100):min(len(text), i+100)])
				return
			}
		}
	}
}

var leadsTo = regexp.MustCompile(`(?:href|src)="(/[^"]*)"`)

// pages calls look with every page and picture of a store that pages lead to, and with the reports of its runs.
func (a *testArchive) pages(store string, runs []string, look func(name string, data []byte)) {
	a.t.Helper()
	s, err := artifacts.Open(a.t.Context(), a.at(store), &artifacts.Options{MustExist: true})
	if err != nil {
		a.t.Fatal(err)
	}
	defer s.Close()
	pages := view.New(s, view.Options{})
	defer pages.Close()
	todo, seen := []string{"/"}, map[string]bool{"/": true}
	for n := 0; n < len(todo); n++ {
		request := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:1"+todo[n], nil)
		request.AddCookie(&http.Cookie{Name: "cspine-view-1", Value: pages.Token()})
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, request)
		if w.Code != http.StatusOK {
			a.t.Errorf("%s: %d %.300s", todo[n], w.Code, w.Body)
		}
		look("page "+todo[n], w.Body.Bytes())
		if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			continue
		}
		for _, m := range leadsTo.FindAllStringSubmatch(w.Body.String(), -1) {
			if to := html.UnescapeString(m[1]); !seen[to] {
				seen[to] = true
				todo = append(todo, to)
			}
		}
	}
	if len(todo) < 100 {
		a.t.Errorf("only %d pages and pictures were found", len(todo))
	}
	for _, run := range runs {
		file, err := pages.Report(a.t.Context(), view.ReportOptions{Run: run, Most: 100})
		if err != nil {
			a.t.Error(err)
		}
		look("report of "+run, file)
	}
}

// parquetValues returns all values of all columns that are texts or bytes.
func parquetValues(t *testing.T, name string, data []byte) (values []byte) {
	t.Helper()
	file, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(name, err)
	}
	for _, group := range file.RowGroups() {
		rows := group.Rows()
		for buf := make([]parquet.Row, 16); ; {
			n, err := rows.ReadRows(buf)
			for _, row := range buf[:n] {
				for _, v := range row {
					if v.Kind() == parquet.ByteArray {
						values = append(append(values, v.ByteArray()...), '\n')
					}
				}
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(name, err)
			}
		}
		rows.Close()
	}
	return values
}

// TestNoPatientValueLeaves writes marked texts wherever a hospital writes about patients, runs what reads such files, and looks for the marks in all that
// comes out.
func TestNoPatientValueLeaves(t *testing.T) {
	a, uids := newArchive(t, 2, 2)
	good := a.at("data", "train_images", uids[0])
	for _, uid := range uids {
		a.each(a.at("data", "train_images", uid), (*slice).hospital)
		// The texts of a NIfTI header: descrip, aux_file, intent_name, db_name.
		file := a.at("data", "segmentations", uid+".nii")
		mask := a.read(file)
		for _, at := range []int{14, 148, 228, 328} {
			copy(mask[at:], marked+"NII")
		}
		a.write(file, mask)
	}
	first := a.slices(good)[0]
	template := a.read(first)
	var faults []string
	for tag, vr := range read {
		s := parseSlice(t, template)
		s.put(tag, vr, marked+"^BAD")
		file := a.at("data", "train_images", fmt.Sprintf("fault-%08x", tag), "1.dcm")
		a.write(file, s.file())
		faults = append(faults, file)
	}
	cut := a.at("data", "train_images", "fault-cut", "1.dcm")
	a.write(cut, template[:len(template)-100])
	a.write(a.at("data", "train_images", "fault-text", "letter.txt"), []byte(marked+", seen in January"))
	broken := slices.Clone(a.read(a.at("data", "segmentations", uids[1]+".nii")))
	copy(broken[70:], "\xff\x7f") // a data type that there is not
	a.write(a.at("data", "segmentations", uids[1]+".nii"), broken)
	labels := a.read(a.at("data", "train.csv"))
	for i, line := range bytes.Split(bytes.TrimSpace(labels), []byte("\n")) {
		extra := ",note"
		if i > 0 {
			extra = "," + marked + "NOTE"
		}
		labels = bytes.Replace(labels, line, append(slices.Clone(line), extra...), 1)
	}
	a.write(a.at("data", "train.csv"), labels)

	a.cspine(0, "model", "build", "classifier", "--type", "1", "--size", "56", "--seed", "1", "--out", "one.onnx")
	inputs := []string{"--data", "data", "--store", "store", "--segmenter", "labels"}
	a.cspine(3, append([]string{"prepare", "--run", "r", "--verbose", "--pictures", "pictures"}, inputs...)...)
	a.cspine(3, append([]string{"prepare", "--run", "r", "--json"}, inputs...)...)
	a.cspine(0, append([]string{"plan", "--run", "r", "--verbose", "--study", uids[0], "--study", "fault-cut"}, inputs...)...)
	a.cspine(0, append([]string{"plan", "--run", "r", "--json"}, inputs...)...)
	a.cspine(3, append([]string{"predict", "--run", "p", "--classifier", "one.onnx", "--engine", "gorgonia", "--out", "submission.csv", "--details", "details.parquet"}, inputs...)...)
	a.cspine(3, "doctor", "--data", "data", "--verbose")
	a.cspine(3, "doctor", "--data", "data", "--json")
	a.cspine(0, "inspect", first, "--png", "pictures/slice.png")
	a.cspine(0, "inspect", a.at("data", "segmentations", uids[0]+".nii"))
	a.cspine(1, "inspect", a.at("data", "segmentations", uids[1]+".nii"))
	a.cspine(0, "inspect", "store")
	a.cspine(0, "why", uids[0], "--store", "store")
	a.cspine(0, "lineage", uids[0], "--store", "store", "--dot")
	a.cspine(0, "verify", "--store", "store", "--read-data")
	a.cspine(0, "evaluate", "--submission", "submission.csv", "--truth", a.at("data", "train.csv"), "--allow-missing")
	for _, file := range append(faults, cut) {
		var out bytes.Buffer
		run([]string{"inspect", file}, &out, &out) // most are refused
		run([]string{"inspect", "--pixel-digests", file}, &out, &out)
		a.said["cspine inspect "+file] = out.Bytes()
	}
	a.write(a.at("data", "train.csv"), bytes.Replace(labels, []byte(",0"), []byte(","+marked), 1))
	a.cspine(1, append([]string{"prepare", "--run", "s", "--verbose"}, inputs...)...)
	a.cspine(1, "evaluate", "--submission", "submission.csv", "--truth", a.at("data", "train.csv"), "--allow-missing", "--json")

	secrets := []string{marked}
	for command, text := range a.said {
		a.shows(command, text, secrets)
	}
	for _, file := range []string{"submission.csv", "details.parquet"} {
		a.shows(file, a.read(a.at(file)), secrets)
	}
	a.files("pictures", func(name string, data []byte) { a.shows(name, data, secrets) })
	a.stored("store", func(name string, data []byte, _ bool) { a.shows(name, data, secrets) })
	a.pages("store", []string{"r", "p"}, func(name string, data []byte) { a.shows(name, data, secrets) })
}

// TestPseudonymsStandForAllNames gives studies, folders and files names of which none may be found in what a run under pseudonyms makes, but for the indexes.
func TestPseudonymsStandForAllNames(t *testing.T) {
	a, uids := newArchive(t, 5, 4)
	secrets := append([]string{marked}, uids...)
	of := func(name string) string { return a.at("data", "train_images", name) }

	// A folder and files of telling names; the label file has the UID's.
	a.rename(of(uids[0]), of(marked+"-JANE"))
	for _, file := range a.slices(of(marked + "-JANE")) {
		a.rename(file, filepath.Join(filepath.Dir(file), marked+filepath.Base(file)))
	}
	// A file that is set aside with a warning; the same study again in another folder; a slice cut short; an empty folder.
	a.write(filepath.Join(of(uids[1]), marked+"-letter.txt"), []byte("dear colleague"))
	for z, name := range a.slices(of(uids[1])) {
		file := a.read(name)
		a.write(filepath.Join(of(marked+"-again"), filepath.Base(name)), file)
		if z == 7 {
			file = file[:1000]
		}
		a.write(filepath.Join(of(marked+"-cut"), marked+filepath.Base(name)), file)
	}
	if err := os.Mkdir(of(marked+"-empty"), 0o777); err != nil {
		t.Fatal(err)
	}
	// No UID, so that the folder's name stands for it, in the label file's name too.
	a.rename(of(uids[2]), of(marked+"-0815"))
	a.each(of(marked+"-0815"), func(s *slice) { delete(s.elements, 0x0020000d) })
	a.rename(a.at("data", "segmentations", uids[2]+".nii"), a.at("data", "segmentations", marked+"-0815.nii"))
	// A label file that can't be read. The fifth study has none.
	a.write(a.at("data", "segmentations", uids[3]+".nii"), []byte("no image"))

	a.write(a.at("key"), []byte("the key that must not be found anywhere"))
	a.write(a.at("other.key"), []byte("and another one, that is just as secret"))
	a.cspine(0, "model", "build", "classifier", "--type", "1", "--size", "56", "--seed", "1", "--out", "one.onnx")
	inputs := []string{"--data", "data", "--segmenter", "labels", "--pseudonymize", "key"}
	command := func(status int, args ...string) []byte { return a.cspine(status, append(args, inputs...)...) }
	prepare := []string{"prepare", "--store", "store", "--run", "r"}
	answer := []string{"predict", "--store", "store", "--run", "p", "--classifier", "one.onnx", "--engine", "gorgonia", "--out", "submission.csv", "--details", "details.parquet", "--json"}
	command(0, "plan", "--store", "store", "--run", "r", "--json")
	command(3, append(prepare, "--verbose", "--pictures", "pictures")...)
	command(3, "prepare", "--store", "store", "--run", "masks", "--task", "segmentation")
	again := command(3, append(prepare, "--json")...)
	command(0, "plan", "--store", "store", "--run", "r", "--json")
	command(0, "plan", "--store", "store", "--run", "p", "--classifier", "one.onnx", "--engine", "gorgonia")
	command(3, answer...)
	a.cspine(0, "verify", "--store", "store", "--read-data")
	for _, run := range []string{"r", "masks", "p"} {
		a.files("store/runs/"+run, func(name string, _ []byte) {
			if strings.HasSuffix(name, ".parquet") {
				a.cspine(0, "inspect", name)
			}
		})
	}

	for command, text := range a.said {
		a.shows(command, text, secrets)
	}
	for _, file := range []string{"submission.csv", "details.parquet"} {
		a.shows(file, a.read(a.at(file)), secrets)
	}
	a.files("pictures", func(name string, data []byte) { a.shows(name, data, secrets) })
	key := string(a.read(a.at("key")))
	a.stored("store", func(name string, data []byte, index bool) {
		if !index {
			a.shows(name, data, secrets)
		}
		a.shows(name, data, []string{key})
	})
	a.pages("store", []string{"r", "masks", "p"}, func(name string, data []byte) { a.shows(name, data, append(secrets, key)) })
	if t.Failed() {
		return
	}

	names, err := pseudonym.Read(a.at("key"))
	if err != nil {
		t.Fatal(err)
	}
	// The second run of the same key found all that the first made.
	var s summary
	if err := json.Unmarshal(again, &s); err != nil || s.Misses != 0 || s.Hits == 0 {
		t.Errorf("the second run computed %d artifacts and found %d: %v", s.Misses, s.Hits, err)
	}
	// Studies are joined with their labels, and only two were done: the others are in quarantine, by their pseudonyms, or without labels.
	want, err := shard.ReadLabels(bytes.NewReader(a.read(a.at("data", "train.csv"))))
	if err != nil {
		t.Fatal(err)
	}
	labelled := map[string]bool{}
	a.files("store/datasets/r", func(name string, data []byte) {
		if !strings.HasSuffix(name, ".parquet") {
			return
		}
		r, err := shard.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		for sample, err := range r.Samples(t.Context(), shard.ReadOptions{NoTensors: true}) {
			if err != nil {
				t.Fatal(err)
			}
			labelled[sample.StudyUID] = sample.PatientLabel != nil
			for _, uid := range uids {
				if names.UID(uid) == sample.StudyUID && (sample.PatientLabel == nil || *sample.PatientLabel != *want[uid].Patient) {
					t.Errorf("%s has another label than its study", sample.StudyUID)
				}
			}
		}
	})
	if len(labelled) != 3 || !labelled[names.UID(uids[0])] || !labelled[names.UID(uids[1])] || labelled[names.UID(marked+"-0815")] {
		t.Errorf("the data set has %v", labelled)
	}
	refused := map[string]string{}
	for _, e := range s.Quarantine {
		refused[filepath.Base(e.Study)] = e.Reason
	}
	for name, reason := range map[string]string{marked + "-cut": "damaged_slice", marked + "-empty": "no_slices", uids[3]: "nifti_not_nifti"} {
		if refused[names.UID(name)] != reason {
			t.Errorf("%s was refused for %q, want %q, among %v", name, refused[names.UID(name)], reason, refused)
		}
	}
	answers, err := score.ReadSubmission(bytes.NewReader(a.read(a.at("submission.csv"))))
	if err != nil {
		t.Fatal(err)
	}
	answered := func(answers []score.Answer) (studies []string) {
		for _, a := range answers {
			studies = append(studies, a.Study)
		}
		return studies
	}
	for _, name := range []string{uids[0], uids[1], marked + "-0815", uids[3], uids[4], marked + "-cut", marked + "-empty"} {
		if !slices.Contains(answered(answers), names.UID(name)) {
			t.Errorf("%s is not answered as %s, but %v are", name, names.UID(name), answered(answers))
		}
	}

	// In another store the same key gives the same answers, and another key others.
	first := a.read(a.at("submission.csv"))
	answer[2] = "elsewhere"
	command(3, answer...)
	if !bytes.Equal(first, a.read(a.at("submission.csv"))) {
		t.Error("the same key gives other answers in another store")
	}
	inputs[len(inputs)-1] = "other.key"
	command(3, answer...)
	others, err := score.ReadSubmission(bytes.NewReader(a.read(a.at("submission.csv"))))
	if err != nil {
		t.Fatal(err)
	}
	for _, study := range answered(others) {
		if slices.Contains(answered(answers), study) || !strings.HasPrefix(study, "2.25.") {
			t.Errorf("another key gives the pseudonym %s, too", study)
		}
	}
	if len(others) != len(answers) {
		t.Errorf("%d answers, %d by another key", len(answers), len(others))
	}
}

func TestAKeyThatIsNoneIsWrongUsage(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"prepare", "plan", "predict"} {
		for file, want := range map[string]string{empty: "has 0 bytes, at least 32 are needed", filepath.Join(dir, "none"): "no such file"} {
			var out, errs bytes.Buffer
			args := []string{command, "--data", dir, "--store", filepath.Join(dir, "store"), "--segmenter", "labels", "--run", "r", "--pseudonymize", file}
			if command == "predict" {
				args = append(args, "--classifier", "one.onnx")
			}
			status := run(args, &out, &errs)
			if text := errs.String(); status != exitUsage || !strings.Contains(text, want) || !strings.Contains(text, "head -c 32 /dev/urandom > keyfile") {
				t.Errorf("%s with %s: status %d, %s", command, filepath.Base(file), status, text)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "store")); err == nil {
		t.Error("a store was made all the same")
	}
}

func TestAPanicTellsNothingOfWhatWasRead(t *testing.T) {
	var errs bytes.Buffer
	status := guarded(&errs, func() int { panic(marked + "^JANE") })
	if text := errs.String(); status != exitFailed || strings.Contains(text, marked) || !strings.Contains(text, "internal_error: a string in cmd/cspine.TestAPanicTellsNothingOfWhatWasRead") {
		t.Errorf("status %d: %s", status, text)
	}
}
