package artifactstest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
)

// verify returns what Verify finds, as "kind key".
func verify(t *testing.T, s *artifacts.Store, o artifacts.VerifyOptions) ([]string, artifacts.Verified) {
	t.Helper()
	var found []string
	sum, err := s.Verify(t.Context(), &o, func(f artifacts.Finding) {
		if f.Detail == "" || f.Remedy == "" {
			t.Errorf("%+v says too little", f)
		}
		found = append(found, string(f.Kind)+" "+f.Key)
	})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Findings != len(found) {
		t.Errorf("%d findings, counted as %d", len(found), sum.Findings)
	}
	slices.Sort(found)
	return found, sum
}

var everything = artifacts.VerifyOptions{ReadData: true}

// recordOf is the key of a recipe's record, objectOf that of an object.
func recordOf(r artifacts.Recipe) string { return fanOut("records/", r.Digest(), ".json") }

func objectOf(d artifacts.Digest, suffix string) string { return fanOut("objects/", d, suffix) }

func fanOut(folder string, d artifacts.Digest, suffix string) string {
	return folder + d.String()[:2] + "/" + d.String() + suffix
}

var verifyRules = []rule{
	{"SoundStoreHasNoFindings", func(t *testing.T, at Location) {
		s := open(t, at)
		FillSample(t, s)
		replace(t, at(t), "objects/README", []byte("a stranger"))
		replace(t, at(t), "somewhere/else", []byte("another"))
		out, err := s.Put(t.Context(), artifacts.Content{Data: []byte("nobody names it"), Encoding: artifacts.Identity})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []artifacts.VerifyOptions{{}, everything, {ReadData: true, Repair: true}} {
			found, sum := verify(t, s, o)
			want := artifacts.Verified{Records: 3, Objects: sum.Objects, Files: 4, Unchecked: 1, Strays: 2,
				Unnamed: artifacts.Tally{Count: 1, Bytes: out.Stored}, ReadData: o.ReadData}
			if sum.Objects.Count != 6 {
				t.Errorf("%d objects", sum.Objects.Count)
			}
			if diff := cmp.Diff(want, sum); diff != "" || len(found) > 0 {
				t.Errorf("found %v\n%s", found, diff)
			}
		}
	}},
	{"FlippedBitInAnyFileIsFound", func(t *testing.T, at Location) {
		s, behind := open(t, at), at(t)
		f := FillSample(t, s)
		for _, key := range keys(t, behind, "") {
			if key == sampleNotes {
				continue
			}
			whole := read(t, behind, key)
			for _, at := range []int{len(whole) / 3, len(whole) - 1} {
				flipped := bytes.Clone(whole)
				flipped[at] ^= 1 << (at % 8)
				replace(t, behind, key, flipped)
				if found, _ := verify(t, s, everything); !slices.ContainsFunc(found, func(f string) bool { return strings.HasSuffix(f, " "+key) }) {
					t.Errorf("%s, byte %d: found %v", key, at, found)
				}
				if wrong := f.Served(t, s); len(wrong) > 0 {
					t.Errorf("%s, byte %d: served %v", key, at, wrong)
				}
			}
			replace(t, behind, key, whole)
		}
		if found, _ := verify(t, s, everything); len(found) > 0 {
			t.Errorf("whole again: %v", found)
		}
	}},
	{"RepairRemovesWhatIsDamagedAndTheNextRunMakesIt", func(t *testing.T, at Location) {
		s, behind := open(t, at), at(t)
		f := FillSample(t, s)
		volume, mask, shard := artifacts.DigestOf(tensor(1, 300)), artifacts.DigestOf(tensor(2, 300)), artifacts.DigestOf(tensor(3, 300))
		absent := []byte(nil)
		for name, c := range map[string]struct {
			key      string
			damage   func(whole []byte) []byte // absent: the file is deleted
			kind     string
			quick    bool     // it is found without reading data
			goes     []string // besides the damaged file
			computed int
		}{
			"object flipped": {objectOf(volume, ".zst"), flip, "damaged_object", false, []string{recordOf(f.Recipes[0])}, 1},
			"object cut":     {objectOf(mask, ".zst"), cut, "wrong_size", true, []string{recordOf(f.Recipes[1])}, 1},
			"object deleted": {objectOf(mask, ".zst"), func([]byte) []byte { return absent }, "missing_object", true, []string{recordOf(f.Recipes[1])}, 1},
			"shard's object": {objectOf(shard, ""), flip, "damaged_object", false, []string{recordOf(f.Recipes[2])}, 1},
			"model":          {objectOf(f.Model, ".zst"), flip, "damaged_object", false, nil, 0},
			"record":         {recordOf(f.Recipes[1]), flip, "damaged_record", true, nil, 1},
			"record cut":     {recordOf(f.Recipes[1]), cut, "damaged_record", true, nil, 1},
			"shard":          {sampleShard, flip, "damaged_shard", false, nil, 0},
			"shard cut":      {sampleShard, cut, "damaged_shard", true, nil, 0},
			"shard deleted":  {sampleShard, func([]byte) []byte { return absent }, "missing_shard", true, nil, 0},
			"run's manifest": {sampleManifest, flip, "damaged_manifest", true, nil, 0},
			"data set's":     {sampleDataset, flip, "damaged_manifest", true, nil, 0},
			"pointer":        {f.Pointer, flip, "damaged_file", true, nil, 0},
		} {
			before := keys(t, behind, "")
			whole := read(t, behind, c.key)
			if damaged := c.damage(bytes.Clone(whole)); damaged != nil {
				replace(t, behind, c.key, damaged)
			} else if err := behind.Delete(t.Context(), c.key); err != nil {
				t.Fatal(err)
			}
			if quick, _ := verify(t, s, artifacts.VerifyOptions{}); c.quick != (len(quick) > 0) {
				t.Errorf("%s: without reading data found %v", name, quick)
			}
			o := artifacts.VerifyOptions{ReadData: !c.quick, Repair: true}
			if found, _ := verify(t, s, o); !slices.Equal(found, []string{c.kind + " " + c.key}) {
				t.Errorf("%s: found %v", name, found)
			}
			want := slices.DeleteFunc(slices.Clone(before), func(key string) bool { return key == c.key || slices.Contains(c.goes, key) })
			after := keys(t, behind, "")
			slices.Sort(want)
			slices.Sort(after)
			if diff := cmp.Diff(want, after); diff != "" {
				t.Errorf("%s: the repair left\n%s", name, diff)
			}
			if again := FillSample(t, s); again.Computed != c.computed {
				t.Errorf("%s: %d were computed anew, want %d", name, again.Computed, c.computed)
			}
			if found, _ := verify(t, s, everything); len(found) > 0 {
				t.Errorf("%s: after the next run %v", name, found)
			}
		}
	}},
	{"ObjectMadeAnewByAnotherEncoderStays", func(t *testing.T, at Location) {
		s, behind := open(t, at), at(t)
		f := FillSample(t, s)
		data := tensor(2, 300)
		key := objectOf(artifacts.DigestOf(data), ".zst")
		replace(t, behind, key, encoder(t).EncodeAll(append(data[:150:150], data[150:]...), encoder(t).EncodeAll(nil, nil)))
		if found, _ := verify(t, s, artifacts.VerifyOptions{Repair: true}); !slices.Equal(found, []string{"wrong_size " + key}) {
			t.Fatalf("found %v", found)
		}
		wantContent(t, s, artifacts.DigestOf(data), data)
		if got := keys(t, behind, recordOf(f.Recipes[1])); len(got) != 0 {
			t.Error("the record that names the other size is still there")
		}
	}},
	{"UnfinishedPublishingIsNoDamage", func(t *testing.T, at Location) {
		s := open(t, at)
		FillSample(t, s)
		out, err := s.Put(t.Context(), artifacts.Content{Data: tensor(4, 300), Encoding: artifacts.Identity})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.PublishFile(t.Context(), sampleShard, out.Digest); err != nil {
			t.Fatal(err)
		}
		if found, sum := verify(t, s, artifacts.VerifyOptions{ReadData: true, Repair: true}); !slices.Equal(found, []string{"other_shard " + sampleShard}) || sum.Removed != 0 {
			t.Errorf("found %v, removed %d", found, sum.Removed)
		}
	}},
	{"ParquetFilesAreGivenToTheirReader", func(t *testing.T, at Location) {
		s := open(t, at)
		FillSample(t, s)
		if err := s.PutNamed(t.Context(), "predictions/neck/predictions.parquet", []byte("PAR1")); err != nil {
			t.Fatal(err)
		}
		o := everything
		o.Workers = 1
		var read []string
		o.Parquet = func(_ context.Context, key string, file io.ReaderAt, size int64) error {
			read = append(read, key)
			if _, err := io.ReadAll(io.NewSectionReader(file, 0, size)); err != nil {
				return err
			}
			return errors.New("the footer is torn")
		}
		found, _ := verify(t, s, o)
		want := []string{"damaged_file predictions/neck/predictions.parquet", "damaged_manifest " + sampleManifest, "damaged_shard " + sampleShard}
		if diff := cmp.Diff(want, found); diff != "" || len(read) != 3 {
			t.Errorf("read %v\n%s", read, diff)
		}
	}},
	{"RunUnderWayStopsRepairAndNoOther", func(t *testing.T, at Location) {
		s := open(t, at)
		FillSample(t, s)
		defer end(t, share(t, s))
		_, err := s.Verify(t.Context(), &artifacts.VerifyOptions{Repair: true}, func(artifacts.Finding) {})
		wantError(t, "repair", err, artifacts.ErrBusy)
		if found, _ := verify(t, s, everything); len(found) > 0 {
			t.Errorf("found %v", found)
		}
	}},
	{"FailingStoreIsNoDamage", func(t *testing.T, at Location) {
		FillSample(t, open(t, at))
		for n := 1; n < 40; n++ {
			s := openOn(t, FailAfter(at(t), n, false))
			_, err := s.Verify(t.Context(), &everything, func(f artifacts.Finding) {
				if f.Kind != artifacts.Unreadable {
					t.Errorf("a fault after %d calls was taken for %+v", n, f)
				}
			})
			if err != nil && !errors.Is(err, ErrInjected) {
				t.Errorf("fault after %d calls: %v", n, err)
			}
		}
	}},
}

func flip(whole []byte) []byte {
	whole[len(whole)/2] ^= 4
	return whole
}

func cut(whole []byte) []byte { return whole[:len(whole)/2] }
