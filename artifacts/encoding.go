package artifacts

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Encoding says how an object's bytes lie in the store. It is no part of an object's identity.
type Encoding string

const (
	// Zstd is Zstandard (RFC 8878): one or more frames, whatever encoder made them.
	Zstd Encoding = "zstd"
	// Identity is the bytes as they are, for files that people and other programs open where they lie.
	Identity Encoding = "identity"
)

// encodings is every encoding, in the order in which Get looks for an object.
var encodings = [...]Encoding{Zstd, Identity}

// MaxObjectBytes bounds an object, encoded or not. Objects are handled in memory as a whole; larger data
// must be cut into several.
const MaxObjectBytes = 4 << 30

func (e Encoding) known() bool { return e == Zstd || e == Identity }

// suffix is what an object's file name carries behind its digest.
func (e Encoding) suffix() string {
	if e == Zstd {
		return ".zst"
	}
	return ""
}

// A coder works for one goroutine at a time and keeps megabytes of tables: pooled, so that there are as
// many as run at once, and none more.
var (
	encoders = sync.Pool{New: func() any {
		// No frame check sum: every read verifies SHA-256. Frames for empty data, so that a file cut to
		// nothing is not taken for empty content.
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true))
		if err != nil {
			panic(err) // constant options
		}
		return e
	}}
	decoders = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true),
			zstd.WithDecoderMaxMemory(MaxObjectBytes))
		if err != nil {
			panic(err) // constant options
		}
		return d
	}}
	// encodeBuffers are where Put encodes to. No driver keeps what it is given.
	encodeBuffers = sync.Pool{New: func() any { return new([]byte) }}
)

// encodeZstd appends data to dst as one frame.
func encodeZstd(dst, data []byte) []byte {
	e := encoders.Get().(*zstd.Encoder)
	defer encoders.Put(e)
	return e.EncodeAll(data, dst)
}

// decode returns the unencoded bytes of a stored object; with Identity they are stored itself. It
// allocates no more than the frames can hold. Errors say only what is wrong with the frames: the caller
// knows whose they are.
func decode(stored []byte, e Encoding) ([]byte, error) {
	if e == Identity {
		return stored, nil
	}
	bound, err := frameBound(stored)
	if err != nil {
		return nil, err
	}
	// The decoder's fast path wants a few bytes of room behind the last block.
	const slack = 32
	d := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(d)
	data, err := d.DecodeAll(stored, make([]byte, 0, bound+slack))
	if err != nil {
		return nil, err
	}
	if cap(data) > 2*len(data)+slack {
		data = bytes.Clone(data) // the bound was far off: keep no more than needed
	}
	return data, nil
}

// frameBound returns how many bytes the frames in b decode to at most (RFC 8878, section 3.1.1): what they
// announce, which must not be more than their blocks can hold, so that a damaged header costs no memory;
// or what the blocks can hold, if a frame announces nothing. Frames must be complete.
func frameBound(b []byte) (int64, error) {
	if len(b) == 0 {
		return 0, errors.New("no frame")
	}
	var total uint64
	for at := 0; at < len(b); {
		var h zstd.Header
		if err := h.Decode(b[at:]); err != nil {
			return 0, fmt.Errorf("frame at byte %d: %w", at, err)
		}
		if h.Skippable {
			at += h.HeaderSize + int(h.SkippableSize)
			if at > len(b) {
				return 0, errors.New("skippable frame ends after the data")
			}
			continue
		}
		size, end, err := blockBound(b, at+h.HeaderSize)
		if err != nil {
			return 0, err
		}
		if h.HasCheckSum {
			end += 4
		}
		if end > len(b) {
			return 0, errors.New("check sum ends after the data")
		}
		if h.HasFCS {
			if h.FrameContentSize > size {
				return 0, fmt.Errorf("frame at byte %d announces %d bytes, its blocks hold %d at most", at, h.FrameContentSize, size)
			}
			size = h.FrameContentSize
		}
		at, total = end, total+size
		if total > MaxObjectBytes {
			return 0, fmt.Errorf("frames hold more than %d bytes", int64(MaxObjectBytes))
		}
	}
	return int64(total), nil
}

// blockBound walks the blocks of one frame from at, and returns how many bytes they decode to at most and
// the byte after the last.
func blockBound(b []byte, at int) (bound uint64, end int, err error) {
	const rle, compressed, maxBlock = 1, 2, 128 << 10
	for last := false; !last; {
		if at+3 > len(b) {
			return 0, 0, fmt.Errorf("block header at byte %d ends after the data", at)
		}
		header := uint32(b[at]) | uint32(binary.LittleEndian.Uint16(b[at+1:]))<<8
		last = header&1 != 0
		size, kind := int(header>>3), header>>1&3
		holds := size
		switch kind {
		case rle:
			size = 1 // the one byte that is repeated
		case compressed:
			holds = maxBlock
		case rle | compressed:
			return 0, 0, fmt.Errorf("block at byte %d has the reserved type", at)
		}
		bound += uint64(holds)
		at += 3 + size
		if at > len(b) {
			return 0, 0, errors.New("block ends after the data")
		}
	}
	return bound, at, nil
}
