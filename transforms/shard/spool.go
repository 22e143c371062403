package shard

// spool is a file in memory that grows by pieces. One slice that grows would be cleared and copied again and again, hundreds of megabytes at a
// time, and the garbage collector would wait for each: that was half of what making shards cost.
type spool struct{ pieces [][]byte }

const pieceSize = 4 << 20

func (s *spool) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if k := len(s.pieces); k == 0 || len(s.pieces[k-1]) == cap(s.pieces[k-1]) {
			s.pieces = append(s.pieces, make([]byte, 0, pieceSize))
		}
		last := &s.pieces[len(s.pieces)-1]
		k := min(len(b), cap(*last)-len(*last))
		*last, b = append(*last, b[:k]...), b[k:]
	}
	return n, nil
}

// take returns what was written, as one slice, and leaves nothing.
func (s *spool) take() []byte {
	n := 0
	for _, p := range s.pieces {
		n += len(p)
	}
	whole := make([]byte, 0, n)
	for i, p := range s.pieces {
		whole, s.pieces[i] = append(whole, p...), nil
	}
	s.pieces = nil
	return whole
}
