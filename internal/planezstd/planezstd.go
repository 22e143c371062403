// Package planezstd compresses stacks of image planes into standard zstd frames (RFC 8878).
//
// It exists because crops repeat themselves in a way that general encoders find slowly: a crop is 90
// planes of 224x224, and a plane that two neighbouring stacks share is the same 50,176 bytes a few
// planes back. The encoder compares whole planes first, writes a repeated plane as one match and a
// constant one as one run, and spends a fast match search and Huffman codes on the rest only.
//
// What it writes must be readable by every zstd decoder; nothing here decodes. Equal input, layout and
// version of this package must give equal bytes, on every machine and with any number of goroutines.
// Any input is allowed.
package planezstd

import (
	"encoding/binary"
	"fmt"
	"sync"
)

const (
	magic = 0xFD2FB528 // RFC 8878 3.1.1

	// windowLog bounds how far back a match may reach, and with it a streaming decoder's memory.
	windowLog = 20
	maxOffset = 1 << windowLog

	// maxBlock is Block_Maximum_Size for this window (RFC 8878 3.1.1.2.4).
	maxBlock = 128 << 10

	// reach is how many planes back a repeat is looked for: in a crop of 6 planes a position, the stack
	// before is 2 to 6 planes away, and a position before that up to 12.
	reach = 6
)

// Block types, RFC 8878 3.1.1.2.2.
const (
	blockRaw        = 0
	blockRLE        = 1
	blockCompressed = 2
)

var encoders = sync.Pool{New: func() any { return new(encoder) }}

// Layout says where equal bytes are to be expected. It is a hint: wrong, it costs size and time.
type Layout struct {
	// Row is the bytes of a row, 0 if there are none. Rows are alike to the row before.
	Row int
	// Plane is the bytes of a plane, 0 if there are none. What is left of the data after whole planes is
	// taken to stand before them.
	Plane int
}

// version is raised when equal input and layout may give other bytes.
const version = 1

// Name names the frames of this layout: of one name and equal input they are equal, byte for byte, whatever build made them.
func (l Layout) Name() string {
	return fmt.Sprintf("planezstd %d, rows of %d, planes of %d", version, l.Row, l.Plane)
}

// Append appends one zstd frame that holds head, of at most 128 KiB, and then src to dst, and returns the extended slice. The
// head, such as a file's header, is not compressed, and src is compressed as if it stood alone (see Frame). It is safe for
// concurrent use; src must not share memory with dst's spare capacity.
func Append(dst, head, src []byte, l Layout) []byte {
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	return e.frame(dst, head, src, l)
}

// encoder is the working memory of one frame.
type encoder struct {
	parser
	entropy
}

func (e *encoder) frame(dst, head, src []byte, l Layout) []byte {
	row := l.Row
	if row <= 0 || row > maxOffset {
		row = 1
	}
	e.parser.reset(src, row)
	dst = appendHead(dst, head, len(src))
	plane := l.Plane
	if plane <= 0 || plane > maxBlock {
		plane = maxBlock
	}
	for start := 0; start < len(src); {
		end := start + plane
		if start == 0 && len(src)%plane != 0 {
			end = len(src) % plane
		}
		dst = e.block(dst, src, start, end, end == len(src))
		start = end
	}
	return dst
}

// block appends the cheapest block for src[start:end].
func (e *encoder) block(dst, src []byte, start, end int, last bool) []byte {
	if isConstant(src[start:end]) {
		dst = appendBlockHeader(dst, blockRLE, end-start, last)
		return append(dst, src[start])
	}
	saved := e.repeats
	if offset := repeatOf(src, start, end); offset > 0 {
		e.literals = e.literals[:0]
		e.sequences = append(e.sequences[:0], sequence{matchLength: uint32(end - start), offsetValue: uint32(offset) + 3})
		e.repeats = [3]int{offset, saved[0], saved[1]}
	} else {
		e.parse(start, end, likeness(src, start, end))
	}
	head := len(dst)
	dst = appendBlockHeader(dst, blockCompressed, 0, last)
	body := len(dst)
	dst = e.appendCompressed(dst, e.parser.literals, e.sequences)
	if size := len(dst) - body; size < end-start {
		appendBlockHeader(dst[:head], blockCompressed, size, last)
		return dst
	}
	// A raw block's sequences never happen, for the decoder and so for us.
	e.repeats = saved
	dst = appendBlockHeader(dst[:head], blockRaw, end-start, last)
	return append(dst, src[start:end]...)
}

// appendHead begins a frame of head and size bytes after it.
func appendHead(dst, head []byte, size int) []byte {
	dst = appendFrameHeader(dst, len(head)+size)
	if len(head) > 0 || size == 0 {
		dst = appendBlockHeader(dst, blockRaw, len(head), size == 0)
		dst = append(dst, head...)
	}
	return dst
}

// appendFrameHeader writes RFC 8878 3.1.1.1: a window, the content's size in 8 bytes, no checksum, since
// Parquet pages and artifacts carry their own.
func appendFrameHeader(dst []byte, size int) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, magic)
	dst = append(dst, 3<<6, (windowLog-10)<<3)
	return binary.LittleEndian.AppendUint64(dst, uint64(size))
}

func appendBlockHeader(dst []byte, kind, size int, last bool) []byte {
	v := uint32(kind)<<1 | uint32(size)<<3
	if last {
		v |= 1
	}
	return append(dst, byte(v), byte(v>>8), byte(v>>16))
}

func isConstant(b []byte) bool {
	return matchLength(b, 0, 1, len(b)) == len(b)-1
}

// repeatOf returns the distance in bytes to an equal plane before start, or 0.
func repeatOf(src []byte, start, end int) int {
	size := end - start
	for k := 1; k <= reach && k*size <= min(start, maxOffset); k++ {
		if matchLength(src, start-k*size, start, end) == size {
			return k * size
		}
	}
	return 0
}
