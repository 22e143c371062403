package shard

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCutShardsAreCorrupt(t *testing.T) {
	file := write(t, samplesOf(4, 2, 6, 16, 16), 1)
	for n := range len(file) {
		if _, err := Open(bytes.NewReader(file[:n]), int64(n)); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
		// A file that is shorter than it was said to be.
		if _, err := Open(bytes.NewReader(file[:n]), int64(len(file))); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%d of %d bytes: %v", n, len(file), err)
		}
	}
}

func TestChangedTensorsAreCorrupt(t *testing.T) {
	file := write(t, samplesOf(4, 2, 6, 64, 64), 1)
	r := open(t, file)
	if _, err := r.Info(0); err != nil {
		t.Fatal(err)
	}
	p := r.groups[0].pages[0][0]
	for _, at := range []int64{p.offset, p.offset + 20, p.offset + p.header.stored - 1} {
		spoilt := bytes.Clone(file)
		spoilt[at] ^= 4
		if _, err := open(t, spoilt).Read(0, nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
}

func TestAnotherVersionIsRefused(t *testing.T) {
	file := bytes.Replace(write(t, samplesOf(1, 2, 2), 1), []byte(VersionKey+"\x18\x01"+Version), []byte(VersionKey+"\x18\x019"), 1)
	if _, err := Open(bytes.NewReader(file), int64(len(file))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("version 9: %v", err)
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }

func TestAFailingSourceIsNotCorrupt(t *testing.T) {
	if _, err := Open(broken{}, 1000); !errors.Is(err, io.ErrClosedPipe) || errors.Is(err, ErrCorrupt) {
		t.Errorf("a source that fails: %v", err)
	}
}

// TestMutantsEndInErrors changes bytes where they hurt most: in the footer and the page headers.
func TestMutantsEndInErrors(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine alone: -short is for the race detector")
	}
	file := write(t, samplesOf(7, 2, 6, 16, 16), 1)
	footer := len(file) - 8 - int(uint32(file[len(file)-8])|uint32(file[len(file)-7])<<8)
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		mutant := bytes.Clone(file)
		from := 0
		if r.IntN(3) > 0 {
			from = footer
		}
		for range 1 + r.IntN(3) {
			mutant[from+r.IntN(len(file)-from)] = byte(r.Uint32())
		}
		readAll(t, mutant)
	}
}

// readAll reads whatever it can and checks what must hold for any bytes.
func readAll(t *testing.T, file []byte) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := Open(bytes.NewReader(file), int64(len(file)))
	if err == nil {
		for i := range min(r.Rows(), 20) {
			var s Sample
			if s, err = r.Read(i, nil); err != nil {
				break
			}
			if err := validate(&s); err != nil {
				t.Errorf("read a sample that could not be written: %v", err)
			}
		}
	}
	if err != nil && !errors.Is(err, ErrCorrupt) {
		t.Errorf("not ErrCorrupt: %v", err)
	}
	runtime.ReadMemStats(&after)
	// A tensor may claim up to MaxTensor; everything else is in proportion to the file.
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 3*MaxTensor+1<<28 {
		t.Errorf("%d bytes were allocated for a file of %d", grown, len(file))
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(write(f, nil, 1))
	f.Add(write(f, samplesOf(1, 2, 2), 1))
	f.Add(write(f, samplesOf(4, 2, 6, 8, 8), 1))
	f.Fuzz(readAll)
}

// TestNoFlippedBitIsServed: whatever bit of a shard flips, a reader gets an error, or what was written.
func TestNoFlippedBitIsServed(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine alone: -short is for the race detector")
	}
	want := samplesOf(4, 2, 6, 8, 8)
	file := write(t, want, 1)
	for at := 0; at < len(file); at += 7 {
		checkFlip(t, file, want, at, at%8)
	}
}

// Page headers and the footer carry no check sum; what they say is compared.
func TestNoFlippedBitOfAPageHeaderIsServed(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine alone: -short is for the race detector")
	}
	want := samplesOf(4, 2, 6, 8, 8)
	file := write(t, want, 1)
	r := open(t, file)
	for i, leaf := range r.file.Schema().Columns() {
		if leaf[0] != "z_positions" && leaf[0] != "label" {
			continue
		}
		start := int(r.file.Metadata().RowGroups[0].Columns[i].MetaData.DataPageOffset)
		header, err := readPageHeader(file[start:][:256])
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * header.size {
			checkFlip(t, file, want, start+bit/8, bit%8)
		}
	}
}

// checkFlip reads all of a shard with one bit flipped, until an error.
func checkFlip(t *testing.T, file []byte, want []Sample, at, bit int) {
	t.Helper()
	flipped := bytes.Clone(file)
	flipped[at] ^= 1 << bit
	r, err := Open(bytes.NewReader(flipped), int64(len(flipped)))
	if err == nil && r.Rows() != len(want) {
		t.Errorf("byte %d of %d, bit %d: %d rows", at, len(file), bit, r.Rows())
	}
	for i := 0; err == nil && i < r.Rows(); i++ {
		var got Sample
		if got, err = r.Read(i, nil); err == nil && !cmp.Equal(got, want[i]) {
			t.Errorf("byte %d of %d, bit %d: row %d is another\n%s", at, len(file), bit, i, cmp.Diff(want[i], got))
		}
	}
	if err != nil && !errors.Is(err, ErrCorrupt) {
		t.Errorf("byte %d of %d, bit %d: not ErrCorrupt: %v", at, len(file), bit, err)
	}
}
