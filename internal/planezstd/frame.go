package planezstd

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Frame is a frame that Append made, not unpacked. What stands behind its head was compressed as if it stood alone, so that it can be given another head by copying.
type Frame struct {
	Head []byte // not nil, nor empty
	Size int    // bytes behind the head, unpacked; not 0

	blocks []byte
}

// ErrForeign is wrapped by every error about a frame that Append did not make with a head and something behind it.
var ErrForeign = errors.New("planezstd: not a frame with a head")

const frameHeaderSize = 4 + 2 + 8

// Open looks at a frame that Append made with a head and something behind it, and keeps its memory. Only where the blocks begin is looked at: that they
// are whole must be known otherwise.
func Open(frame []byte) (Frame, error) {
	const blockHeaderSize = 3
	start := frameHeaderSize + blockHeaderSize
	if len(frame) < start {
		return Frame{}, fmt.Errorf("%w: %d bytes are too few", ErrForeign, len(frame))
	}
	size := binary.LittleEndian.Uint64(frame[frameHeaderSize-8:])
	if size > 1<<40 || string(frame[:frameHeaderSize]) != string(appendFrameHeader(nil, int(size))) {
		return Frame{}, fmt.Errorf("%w: its header is another", ErrForeign)
	}
	block := uint32(frame[frameHeaderSize]) | uint32(binary.LittleEndian.Uint16(frame[frameHeaderSize+1:]))<<8
	head := int(block >> 3)
	if last, kind := block&1 == 1, block>>1&3; last || kind != blockRaw || head == 0 || uint64(head) >= size || head > len(frame)-start {
		return Frame{}, fmt.Errorf("%w: its first block is no head", ErrForeign)
	}
	return Frame{Head: frame[start : start+head : start+head], Size: int(size) - head, blocks: frame[start+head:]}, nil
}

// Append appends what the package's Append makes of another head and the same bytes behind it.
func (f Frame) Append(dst, head []byte) []byte {
	return append(appendHead(dst, head, f.Size), f.blocks...)
}
