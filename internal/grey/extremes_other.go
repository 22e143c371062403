//go:build !amd64

package grey

func extremes(pix []uint16) (low, high uint16) { return portableExtremes(pix) }
