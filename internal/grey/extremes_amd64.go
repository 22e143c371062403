package grey

import "golang.org/x/sys/cpu"

// block is the number of values that blockExtremes takes at a time.
const block = 64

// extremes returns the least and greatest of pix, which must not be empty. Every slice that a crop reads
// passes through here: with vector instructions it costs a tenth of decoding it, without them as much.
func extremes(pix []uint16) (low, high uint16) {
	if !cpu.X86.HasAVX2 || len(pix) < block {
		return portableExtremes(pix)
	}
	var lows, highs [16]uint16
	blockExtremes(pix, &lows, &highs)
	low, _ = portableExtremes(lows[:])
	_, high = portableExtremes(highs[:])
	if rest := pix[len(pix)/block*block:]; len(rest) > 0 {
		l, h := portableExtremes(rest)
		low, high = min(low, l), max(high, h)
	}
	return low, high
}

// blockExtremes finds the least and greatest of every sixteenth value of pix, beyond its last whole block
// excepted. pix must hold at least one block. It needs AVX2.
//
//go:noescape
func blockExtremes(pix []uint16, lows, highs *[16]uint16)
