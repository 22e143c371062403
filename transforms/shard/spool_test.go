package shard

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestASpoolKeepsWhatIsWritten(t *testing.T) {
	if got := new(spool).take(); len(got) != 0 {
		t.Errorf("%d bytes of nothing", len(got))
	}
	all := make([]byte, 3*pieceSize+17)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(all)
	for _, sizes := range [][]int{{len(all)}, {pieceSize, pieceSize, pieceSize, 17}, {1, pieceSize - 1, 0, pieceSize + 1, 2 * pieceSize}} {
		var s spool
		rest := all
		for _, n := range sizes {
			n = min(n, len(rest))
			if k, err := s.Write(rest[:n]); k != n || err != nil {
				t.Fatalf("%d of %d written: %v", k, n, err)
			}
			rest = rest[n:]
		}
		if got := s.take(); !bytes.Equal(got, all[:len(all)-len(rest)]) {
			t.Errorf("pieces of %v: %d bytes, which differ", sizes, len(got))
		}
		if left := s.take(); len(left) != 0 {
			t.Errorf("%d bytes are left", len(left))
		}
	}
}
