package load

import (
	"errors"
	"io"
	"sync"
)

// blocks reads a shard's small columns, which lie close together, in few requests.
type blocks struct {
	source io.ReaderAt
	size   int64

	mu   sync.Mutex
	kept map[int64][]byte
	used []int64 // keys of kept, the oldest first
}

const (
	blockSize  = 8 << 10
	blocksKept = 64
)

func newBlocks(source io.ReaderAt, size int64) *blocks {
	return &blocks{source: source, size: size, kept: map[int64][]byte{}}
}

// ReadAt passes on what is large, and reads what is small through the blocks it lies in.
func (b *blocks) ReadAt(p []byte, offset int64) (int, error) {
	if len(p) >= blockSize || offset < 0 {
		return b.source.ReadAt(p, offset)
	}
	n := 0
	for n < len(p) {
		at := offset + int64(n)
		if at >= b.size {
			return n, io.EOF
		}
		block, err := b.block(at / blockSize)
		if err != nil {
			return n, err
		}
		k := copy(p[n:], block[min(int64(len(block)), at%blockSize):])
		if k == 0 {
			return n, io.ErrUnexpectedEOF
		}
		n += k
	}
	return n, nil
}

func (b *blocks) block(number int64) ([]byte, error) {
	b.mu.Lock()
	block, ok := b.kept[number]
	b.mu.Unlock()
	if ok {
		return block, nil
	}
	block = make([]byte, min(blockSize, b.size-number*blockSize))
	if n, err := b.source.ReadAt(block, number*blockSize); n < len(block) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.kept[number]; !ok {
		if len(b.used) == blocksKept {
			delete(b.kept, b.used[0])
			b.used = b.used[1:]
		}
		b.kept[number] = block
		b.used = append(b.used, number)
	}
	return block, nil
}
