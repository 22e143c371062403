package shard

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/cspine/cspine/internal/planezstd"
)

// Options changes how Write works, never what it writes. The zero value is useful.
type Options struct {
	// Workers is how many tensors are compressed at a time, 0 for one per CPU. Memory is about
	// (2·Workers + 2) tensors.
	Workers int
}

// Stats is what Write wrote.
type Stats struct {
	Samples int
	Raw     int64 // bytes of all tensors
	Stored  int64 // bytes of the shard
}

// Write writes samples as one shard to w. Samples of one study should come together: each change of
// StudyUID begins a row group. A sample's slices must not change until Write returns. The first error of
// samples, of a sample that contradicts itself, or of w ends it; what w has got by then is no shard.
func Write(w io.Writer, samples iter.Seq2[Sample, error], opts Options) (Stats, error) {
	return crops.write(w, unpacked(samples), opts)
}

// filled is a row with its tensors. One of which frames has a frame is packed already: only its length is the row's.
type filled[S any] struct {
	row    S
	frames []*planezstd.Frame // by tensor; nil where none has one
}

// unpacked are rows whose tensors are all to be packed.
func unpacked[S any](samples iter.Seq2[S, error]) iter.Seq2[filled[S], error] {
	return func(yield func(filled[S], error) bool) {
		for s, err := range samples {
			if !yield(filled[S]{row: s}, err) {
				return
			}
		}
	}
}

func (k *kind[S]) write(w io.Writer, rows iter.Seq2[filled[S], error], opts Options) (Stats, error) {
	workers := cmp.Or(max(opts.Workers, 0), runtime.GOMAXPROCS(0))
	s := newSink(w, k)
	jobs := make(chan *packing[S], 2*workers)
	defer close(jobs)
	for range workers {
		go func() {
			for p := range jobs {
				p.done <- pack(k.record(&p.row), p.frames)
			}
		}()
	}
	var queue []*packing[S]
	for row, err := range rows {
		if err != nil {
			return s.stats, fmt.Errorf("shard: sample %d: %w", s.stats.Samples+len(queue), err)
		}
		p := &packing[S]{filled: row, done: make(chan *pages, 1)}
		r := k.record(&p.row)
		if err := validate(r); err != nil {
			return s.stats, fmt.Errorf("shard: %s: %w", r.name(), err)
		}
		if len(queue) == 2*workers {
			if err := s.add(queue[0]); err != nil {
				return s.stats, err
			}
			queue = queue[1:]
		}
		queue = append(queue, p)
		jobs <- p
	}
	for _, p := range queue {
		if err := s.add(p); err != nil {
			return s.stats, err
		}
	}
	return s.close()
}

// packing is a row on its way: done gets the compressed pages of its tensors.
type packing[S any] struct {
	filled[S]
	done chan *pages
}

// pages are the compressed pages of a sample, in memory that is used again.
type pages [][]byte

var packed = sync.Pool{New: func() any { return new(pages) }}

// pack makes the page of each tensor of a row, by copying its frame where it has one.
func pack(r record, frames []*planezstd.Frame) *pages {
	p := packed.Get().(*pages)
	tensors := r.tensors()
	*p = slices.Grow((*p)[:0], len(tensors))[:len(tensors)]
	for i, t := range tensors {
		page := slices.Grow((*p)[i][:0], len(*t.data)/2)
		// Parquet's PLAIN encoding of one tensor is its length in 4 bytes, and then its bytes.
		length := binary.LittleEndian.AppendUint32(nil, uint32(len(*t.data)))
		if frames != nil && frames[i] != nil {
			page = frames[i].Append(page, length)
		} else {
			page = planezstd.Append(page, length, *t.data, t.layout())
		}
		(*p)[i] = page
	}
	return p
}

// sink turns packed samples into a Parquet file, one after the other.
type sink[S any] struct {
	kind    *kind[S]
	out     counter
	file    rowFile[S]
	tensors []*parquet.ColumnWriter
	codec   *handover
	stats   Stats
	study   string
}

// createdBy must not name the build, or equal samples would give different shards.
const createdBy = "cspine"

func newSink[S any](w io.Writer, k *kind[S]) *sink[S] {
	s := &sink[S]{kind: k, out: counter{w: w}, codec: new(handover)}
	opts := []parquet.WriterOption{
		parquet.CreatedBy(createdBy, Version, ""),
		parquet.KeyValueMetadata(VersionKey, Version),
		parquet.DataPageVersion(1),
		parquet.DataPageStatistics(false),
		parquet.Compression(s.codec),
		parquet.ColumnPageBuffers(parquet.NewBufferPool()),
	}
	for _, name := range k.tensors {
		opts = append(opts, parquet.SkipPageBounds(name))
	}
	s.file = k.create(&s.out, opts...)
	for _, name := range k.tensors {
		leaf, _ := s.file.Schema().Lookup(name)
		s.tensors = append(s.tensors, s.file.ColumnWriters()[leaf.ColumnIndex])
	}
	return s
}

// add waits for p's tensors and writes its row.
func (s *sink[S]) add(p *packing[S]) error {
	r := s.kind.record(&p.row)
	if s.stats.Samples > 0 && r.study() != s.study {
		if err := s.file.Flush(); err != nil {
			return fmt.Errorf("shard: row group of study %s: %w", s.study, err)
		}
	}
	s.study = r.study()
	made := <-p.done
	defer packed.Put(made)
	s.codec.pages, s.codec.sizes = *made, nil
	for _, t := range r.tensors() {
		s.codec.sizes = append(s.codec.sizes, 4+len(*t.data))
	}
	err := s.file.row(&p.row)
	// One page holds one tensor.
	for _, column := range s.tensors {
		if err == nil {
			err = column.Flush()
		}
	}
	if err != nil {
		return fmt.Errorf("shard: %s: %w", r.name(), err)
	}
	s.stats.Samples++
	s.stats.Raw += raw(r)
	return nil
}

func (s *sink[S]) close() (Stats, error) {
	if err := s.file.Close(); err != nil {
		return s.stats, fmt.Errorf("shard: end of file: %w", err)
	}
	s.stats.Stored = s.out.n
	return s.stats, nil
}

// handover is a Parquet codec that writes ZSTD pages compressed beforehand: the library compresses one
// page at a time, the workers as many as there are CPUs.
type handover struct {
	pages [][]byte // what the next pages compress to, in the order of their columns
	sizes []int    // what they measure before
}

func (h *handover) String() string                            { return "ZSTD" }
func (h *handover) CompressionCodec() format.CompressionCodec { return format.Zstd }

func (h *handover) Encode(dst, src []byte) ([]byte, error) {
	if len(h.pages) == 0 || len(src) != h.sizes[0] {
		return nil, fmt.Errorf("a page of %d bytes is to be written, pages of %v were compressed", len(src), h.sizes)
	}
	dst = append(dst[:0], h.pages[0]...)
	h.pages, h.sizes = h.pages[1:], h.sizes[1:]
	return dst, nil
}

func (h *handover) Decode(_, _ []byte) ([]byte, error) { return nil, errors.ErrUnsupported }

// counter counts what reaches w.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
