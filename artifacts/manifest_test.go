package artifacts

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
)

// manyRows returns n rows as a run has them: three steps and seven vertebrae a study.
func manyRows(n int) []Row {
	rows := make([]Row, n)
	for i := range rows {
		d := DigestOf(fmt.Append(nil, i))
		rows[i] = Row{
			Subject: fmt.Sprintf("1.2.826.0.1.3680043.%d", i/7), Part: fmt.Sprintf("C%d", i%7+1), Step: "crop", Transform: "crop",
			Version: 3, Recipe: d.String(), Digest: DigestOf(d[:]).String(), Hit: i%2 == 0, Why: "input mask changed",
			Seconds: float64(i) / 8, Bytes: 4_515_840, Stored: int64(i), Verdict: "ok",
		}
	}
	return rows
}

func TestManifestComesBack(t *testing.T) {
	for _, n := range []int{0, 1, 5000} {
		want := manyRows(n)
		file, err := WriteManifest(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadManifest(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != n || n > 0 && !cmp.Equal(want, got) {
			t.Errorf("%d rows came back as %d others", n, len(got))
		}
	}
}

func TestEqualRowsGiveEqualManifests(t *testing.T) {
	first, err := WriteManifest(manyRows(3000))
	if err != nil {
		t.Fatal(err)
	}
	second, err := WriteManifest(manyRows(3000))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("two writings of the same rows differ")
	}
}

func TestManifestOfAnotherVersionIsRead(t *testing.T) {
	type other struct {
		Step  string `parquet:"step"`
		Extra int64  `parquet:"extra"`
		Hit   bool   `parquet:"hit"`
	}
	var written bytes.Buffer
	rows := []other{{Step: "crop", Extra: 1, Hit: true}}
	if err := parquet.Write(&written, rows, parquet.KeyValueMetadata(sealKey, sealBlank)); err != nil {
		t.Fatal(err)
	}
	file := written.Bytes()
	at, _ := findSeal(file)
	copy(file[at:], sealOf(file, at).String())
	got, err := ReadManifest(file)
	if err != nil || len(got) != 1 || got[0] != (Row{Step: "crop", Hit: true}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDamagedManifestIsCorrupt(t *testing.T) {
	file, err := WriteManifest(manyRows(50))
	if err != nil {
		t.Fatal(err)
	}
	for n := range file {
		if _, err := ReadManifest(file[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: error is %v", n, err)
		}
		file[n] ^= 1 << (n % 8)
		if _, err := ReadManifest(file); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit flipped in byte %d: error is %v", n, err)
		}
		file[n] ^= 1 << (n % 8)
	}
	if _, err := ReadManifest(file); err != nil {
		t.Fatal(err)
	}
}

func FuzzReadManifest(f *testing.F) {
	for _, n := range []int{0, 3} {
		file, err := WriteManifest(manyRows(n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Add([]byte("PAR1PAR1"))
	f.Add([]byte(sealHead + sealBlank))
	f.Add([]byte(sealHead + sealBlank[1:]))
	f.Fuzz(func(t *testing.T, file []byte) {
		rows, err := ReadManifest(file)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		if again, err := WriteManifest(rows); err != nil || len(again) == 0 {
			t.Fatalf("what was read cannot be written: %v", err)
		}
	})
}
