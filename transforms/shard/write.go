package shard

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"

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
	workers := cmp.Or(max(opts.Workers, 0), runtime.GOMAXPROCS(0))
	s := newSink(w)
	jobs := make(chan *packing, 2*workers)
	defer close(jobs)
	for range workers {
		go func() {
			for p := range jobs {
				p.done <- packTensor(p.sample.Tensor, p.sample.Shape, p.sample.DType)
			}
		}()
	}
	var queue []*packing
	for sample, err := range samples {
		if err != nil {
			return s.stats, fmt.Errorf("shard: sample %d: %w", s.stats.Samples+len(queue), err)
		}
		if err := sample.validate(); err != nil {
			return s.stats, err
		}
		if len(queue) == 2*workers {
			if err := s.add(queue[0]); err != nil {
				return s.stats, err
			}
			queue = queue[1:]
		}
		p := &packing{sample: sample, done: make(chan []byte, 1)}
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

// packing is a sample on its way: done gets its tensor's compressed page.
type packing struct {
	sample Sample
	done   chan []byte
}

// packTensor compresses the page that Parquet's PLAIN encoding makes of one tensor: its length in 4
// bytes, then its bytes.
func packTensor(tensor []byte, shape []int, dtype string) []byte {
	item := itemSize[dtype]
	l := planezstd.Layout{Row: item, Plane: item}
	if n := len(shape); n >= 2 {
		l.Row *= shape[n-1]
		l.Plane *= shape[n-1] * shape[n-2]
	}
	prefix := binary.LittleEndian.AppendUint32(nil, uint32(len(tensor)))
	return planezstd.AppendAfter(make([]byte, 0, len(tensor)/2), prefix, tensor, l)
}

// sink turns packed samples into a Parquet file, one after the other.
type sink struct {
	out    counter
	file   *parquet.GenericWriter[row]
	tensor *parquet.ColumnWriter
	codec  *handover
	stats  Stats
	study  string
}

const tensorColumn = "tensor"

// createdBy must not name the build, or equal samples would give different shards.
const createdBy = "cspine"

func newSink(w io.Writer) *sink {
	s := &sink{out: counter{w: w}, codec: new(handover)}
	s.file = parquet.NewGenericWriter[row](&s.out,
		parquet.CreatedBy(createdBy, Version, ""),
		parquet.KeyValueMetadata(VersionKey, Version),
		parquet.DataPageVersion(1),
		parquet.DataPageStatistics(false),
		parquet.SkipPageBounds(tensorColumn),
		parquet.Compression(s.codec),
		parquet.ColumnPageBuffers(parquet.NewBufferPool()),
	)
	leaf, _ := s.file.Schema().Lookup(tensorColumn)
	s.tensor = s.file.ColumnWriters()[leaf.ColumnIndex]
	return s
}

// add waits for p's tensor and writes its row.
func (s *sink) add(p *packing) error {
	sample := &p.sample
	if s.stats.Samples > 0 && sample.StudyUID != s.study {
		if err := s.file.Flush(); err != nil {
			return fmt.Errorf("shard: row group of study %s: %w", s.study, err)
		}
	}
	s.study = sample.StudyUID
	s.codec.page = <-p.done
	s.codec.size = 4 + len(sample.Tensor)
	_, err := s.file.Write([]row{{columns: columnsOf(sample), Tensor: sample.Tensor}})
	if err == nil {
		// One page holds one tensor.
		err = s.tensor.Flush()
	}
	if err != nil {
		return fmt.Errorf("shard: sample %s of study %s: %w", sample.Vertebra, sample.StudyUID, err)
	}
	s.stats.Samples++
	s.stats.Raw += int64(len(sample.Tensor))
	return nil
}

func (s *sink) close() (Stats, error) {
	if err := s.file.Close(); err != nil {
		return s.stats, fmt.Errorf("shard: end of file: %w", err)
	}
	s.stats.Stored = s.out.n
	return s.stats, nil
}

// handover is a Parquet codec that writes ZSTD pages compressed beforehand: the library compresses one
// page at a time, the workers as many as there are CPUs.
type handover struct {
	page []byte // what the next page compresses to
	size int    // what the next page measures before
}

func (h *handover) String() string                            { return "ZSTD" }
func (h *handover) CompressionCodec() format.CompressionCodec { return format.Zstd }

func (h *handover) Encode(dst, src []byte) ([]byte, error) {
	if h.page == nil || len(src) != h.size {
		return nil, fmt.Errorf("a page of %d bytes was compressed, %d are to be written", h.size, len(src))
	}
	dst = append(dst[:0], h.page...)
	h.page = nil
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
