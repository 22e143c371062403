package shard

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/cspine/cspine/internal/unzstd"
)

// Reader reads a shard. It holds the footer, and the small columns of the row groups that were asked for.
// S is Sample or Segmentation. Its methods may be called concurrently.
type Reader[S any] struct {
	kind   *kind[S]
	source io.ReaderAt
	size   int64
	file   *parquet.File
	first  []int // first[g] is the first row of row group g; one more entry for the end
	groups []group[S]
}

// group is a row group's small columns and where its tensors lie, read when first wanted.
type group[S any] struct {
	once    sync.Once
	err     error
	samples []S      // without tensors
	pages   [][]page // by tensor and row
}

// page is one tensor's page.
type page struct {
	offset int64 // of the compressed bytes
	header pageHeader
}

// Open reads the footer of a shard of crops, of size bytes. R must stay readable while the Reader is used.
func Open(r io.ReaderAt, size int64) (*Reader[Sample], error) { return crops.open(r, size) }

func (k *kind[S]) open(r io.ReaderAt, size int64) (rd *Reader[S], err error) {
	defer recoverCorrupt(&err)
	if err := checkEnds(r, size); err != nil {
		return nil, err
	}
	file, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if v, _ := file.Lookup(VersionKey); v != Version {
		return nil, fmt.Errorf("%w: %s is %q, this program reads %q", ErrCorrupt, VersionKey, v, Version)
	}
	if !parquet.EqualNodes(file.Schema(), k.schema) {
		return nil, fmt.Errorf("%w: the columns are not those of a %s shard of version %s", ErrCorrupt, k.what, Version)
	}
	rd = &Reader[S]{kind: k, source: r, size: size, file: file, groups: make([]group[S], len(file.RowGroups())), first: []int{0}}
	for _, g := range file.RowGroups() {
		// A row takes more than one byte of the file.
		if n := g.NumRows(); n < 0 || n > size {
			return nil, fmt.Errorf("%w: a row group claims %d rows", ErrCorrupt, n)
		}
		rd.first = append(rd.first, rd.first[len(rd.first)-1]+int(g.NumRows()))
	}
	if n := file.NumRows(); n != int64(rd.Rows()) {
		return nil, fmt.Errorf("%w: the footer claims %d rows, its row groups %d", ErrCorrupt, n, rd.Rows())
	}
	return rd, nil
}

// checkEnds checks both magic numbers and the footer between them, before anything is allocated by its
// word.
func checkEnds(r io.ReaderAt, size int64) error {
	const magic = "PAR1"
	if size < 12 {
		return fmt.Errorf("%w: %d bytes are too few", ErrCorrupt, size)
	}
	var head [4]byte
	var tail [8]byte
	if err := readFull(r, head[:], 0); err != nil {
		return err
	}
	if err := readFull(r, tail[:], size-8); err != nil {
		return err
	}
	if string(head[:]) != magic || string(tail[4:]) != magic {
		return fmt.Errorf("%w: it does not begin and end with %s: not Parquet, or cut off", ErrCorrupt, magic)
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	if n > size-12 {
		return fmt.Errorf("%w: a footer of %d bytes in a file of %d", ErrCorrupt, n, size)
	}
	footer := make([]byte, n)
	if err := readFull(r, footer, size-8-n); err != nil {
		return err
	}
	return checkFooter(footer)
}

// readFull reads len(b) bytes; an end of file is damage, any other error the source's own.
func readFull(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ends at byte %d, inside %d bytes from %d on", ErrCorrupt, offset+int64(n), len(b), offset)
	}
	return fmt.Errorf("shard: %d bytes at %d: %w", len(b), offset, err)
}

// recoverCorrupt turns a panic of the Parquet library, which trusts its input, into an error.
func recoverCorrupt(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: the Parquet reader gave up: %v", ErrCorrupt, p)
	}
}

// Rows returns how many samples the shard holds.
func (r *Reader[S]) Rows() int { return r.first[len(r.first)-1] }

// Info returns sample i without its tensor. Its slices are the Reader's and must not be changed.
func (r *Reader[S]) Info(i int) (S, error) {
	g, k, err := r.locate(i)
	if err != nil {
		return *new(S), err
	}
	return g.samples[k], nil
}

// Buffer is memory for one sample's tensors, to be used again. The zero value is ready.
type Buffer struct{ b [][]byte }

// Read returns sample i. Its tensors lie in buf, until that is used again; with a nil buf they lie in
// memory of their own. The other slices are the Reader's and must not be changed.
func (r *Reader[S]) Read(i int, buf *Buffer) (S, error) {
	g, k, err := r.locate(i)
	if err != nil {
		return *new(S), err
	}
	if buf == nil {
		buf = new(Buffer)
	}
	s := g.samples[k]
	rec := r.kind.record(&s)
	tensors := rec.tensors()
	if buf.b == nil {
		buf.b = make([][]byte, len(tensors))
	}
	for n, t := range tensors {
		if *t.data, err = r.tensor(g.pages[n][k], &buf.b[n]); err != nil {
			break
		}
	}
	if err == nil {
		err = validate(rec)
	}
	if err != nil {
		return *new(S), fmt.Errorf("row %d: %w", i, corrupt(err))
	}
	return s, nil
}

// corrupt makes sure that err wraps ErrCorrupt, unless the source failed.
func corrupt(err error) error {
	if errors.Is(err, ErrCorrupt) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// locate returns row i's group, loaded, and its place there.
func (r *Reader[S]) locate(i int) (*group[S], int, error) {
	if i < 0 || i >= r.Rows() {
		return nil, 0, fmt.Errorf("shard: row %d of %d", i, r.Rows())
	}
	n := 0
	for r.first[n+1] <= i {
		n++
	}
	g := &r.groups[n]
	g.once.Do(func() { g.err = r.load(n, g) })
	return g, i - r.first[n], g.err
}

// load reads row group n but for its tensors.
func (r *Reader[S]) load(n int, g *group[S]) (err error) {
	defer recoverCorrupt(&err)
	rowGroup := r.file.RowGroups()[n]
	rows := int(rowGroup.NumRows())
	metadata := r.file.Metadata().RowGroups[n]
	// The tensors come first: that each row has a page bounds the rows.
	leaves := r.file.Schema().Columns()
	g.pages = make([][]page, len(r.kind.tensors))
	for i, leaf := range slices.Backward(leaves) {
		at := slices.Index(r.kind.tensors, leaf[0])
		pages, err := r.walk(&metadata.Columns[i].MetaData, rows, at >= 0)
		if err != nil {
			return fmt.Errorf("row group %d, column %s: %w", n, leaf[0], err)
		}
		if at >= 0 {
			g.pages[at] = pages
		}
	}
	if g.samples, err = r.kind.small(rowGroup, rows); err != nil {
		return fmt.Errorf("row group %d: %w", n, err)
	}
	return nil
}

// walk reads the page headers of a column chunk and checks that its pages fill it and claim no more than
// rows can hold.
func (r *Reader[S]) walk(c *format.ColumnMetaData, rows int, tensors bool) ([]page, error) {
	at, end := c.DataPageOffset, c.DataPageOffset+c.TotalCompressedSize
	codec := format.Uncompressed
	if tensors {
		codec = format.Zstd
	}
	if c.Codec != codec || at < 4 || c.TotalCompressedSize < 0 || end < at || end > r.size || c.DictionaryPageOffset != 0 {
		return nil, fmt.Errorf("%w: bytes %d to %d in codec %s", ErrCorrupt, at, end, c.Codec)
	}
	var pages []page
	var head [256]byte
	values := 0
	for at < end {
		b := head[:min(int64(len(head)), end-at)]
		if err := readFull(r.source, b, at); err != nil {
			return nil, err
		}
		h, err := readPageHeader(b)
		if err != nil {
			return nil, err
		}
		p := page{offset: at + int64(h.size), header: h}
		at = p.offset + h.stored
		if at > end || !tensors && h.uncompressed != h.stored || tensors && !holdsOneTensor(h) {
			return nil, fmt.Errorf("%w: a page of %d bytes, %d unpacked, at %d", ErrCorrupt, h.stored, h.uncompressed, p.offset)
		}
		pages = append(pages, p)
		if values += int(h.values); values > maxList*rows {
			return nil, fmt.Errorf("%w: more than %d values in %d rows", ErrCorrupt, maxList*rows, rows)
		}
	}
	if int64(values) != c.NumValues {
		return nil, fmt.Errorf("%w: pages of %d values where the footer names %d", ErrCorrupt, values, c.NumValues)
	}
	if tensors && len(pages) != rows {
		return nil, fmt.Errorf("%w: %d tensors in %d rows", ErrCorrupt, len(pages), rows)
	}
	return pages, nil
}

func holdsOneTensor(h pageHeader) bool {
	return h.values == 1 && h.uncompressed >= 4 && h.uncompressed <= MaxTensor+4
}

// tensor reads, checks and unpacks one page into buf.
func (r *Reader[S]) tensor(p page, buf *[]byte) ([]byte, error) {
	packed := packedBuffers.Get().(*bytes.Buffer)
	defer packedBuffers.Put(packed)
	packed.Reset()
	packed.Grow(int(p.header.stored))
	b := packed.AvailableBuffer()[:p.header.stored]
	if err := readFull(r.source, b, p.offset); err != nil {
		return nil, err
	}
	if p.header.hasCRC && crc32.ChecksumIEEE(b) != p.header.crc {
		return nil, fmt.Errorf("%w: checksum of the page at %d", ErrCorrupt, p.offset)
	}
	size := int(p.header.uncompressed)
	if cap(*buf) < size {
		*buf = make([]byte, 0, unzstd.Room(size))
	}
	// The capacity is the limit: a frame that holds more is refused, not grown for.
	out, err := unzstd.Decode((*buf)[:0], b)
	if err != nil {
		return nil, fmt.Errorf("%w: page at %d: %w", ErrCorrupt, p.offset, err)
	}
	if len(out) != size || int64(binary.LittleEndian.Uint32(out)) != int64(size)-4 {
		return nil, fmt.Errorf("%w: the page at %d unpacks to %d bytes, not to one tensor of %d", ErrCorrupt, p.offset, len(out), size-4)
	}
	return out[4:], nil
}

var packedBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}
