package grey

// portableExtremes returns the least and greatest of pix, which must not be empty. It keeps four independent
// pairs, since one pair would wait for itself at each value.
func portableExtremes(pix []uint16) (low, high uint16) {
	low0, high0 := pix[0], pix[0]
	low1, high1, low2, high2, low3, high3 := low0, high0, low0, high0, low0, high0
	for ; len(pix) >= 4; pix = pix[4:] {
		low0, high0 = min(low0, pix[0]), max(high0, pix[0])
		low1, high1 = min(low1, pix[1]), max(high1, pix[1])
		low2, high2 = min(low2, pix[2]), max(high2, pix[2])
		low3, high3 = min(low3, pix[3]), max(high3, pix[3])
	}
	for _, p := range pix {
		low0, high0 = min(low0, p), max(high0, p)
	}
	return min(low0, low1, low2, low3), max(high0, high1, high2, high3)
}
