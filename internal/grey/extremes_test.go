package grey

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestExtremesAreMinAndMaxAtEveryLength(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// A narrow band with two values put in, so that an extreme stands at any place, the unaligned ends included.
		n := rapid.IntRange(1, 400).Draw(t, "n")
		skip := rapid.IntRange(0, 3).Draw(t, "skip")
		pix := make([]uint16, n+skip)[skip:]
		for i := range pix {
			pix[i] = 30000 + uint16(i%7)
		}
		pix[rapid.IntRange(0, n-1).Draw(t, "at")] = rapid.Uint16().Draw(t, "value")
		pix[rapid.IntRange(0, n-1).Draw(t, "at")] = rapid.Uint16().Draw(t, "value")
		for name, f := range map[string]func([]uint16) (uint16, uint16){"extremes": extremes, "portable": portableExtremes} {
			if low, high := f(pix); low != slices.Min(pix) || high != slices.Max(pix) {
				t.Fatalf("%s: %d…%d, want %d…%d", name, low, high, slices.Min(pix), slices.Max(pix))
			}
		}
	})
}
