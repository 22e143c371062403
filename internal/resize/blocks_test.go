package resize

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
)

// TestBlocksAreExactMeansRoundedHalfUp compares with rational arithmetic.
func TestBlocksAreExactMeansRoundedHalfUp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, by := range []int{1, 2, 3, 4, 7, 8} {
		for _, width := range []int{1, 3, 4, 5, 14, 28} {
			rows, columns := 3*by, width*by
			src, dst := make([]uint8, rows*columns), make([]uint8, 3*width)
			for i := range src {
				// Few values, so that many means lie half-way; and the largest ones.
				src[i] = uint8(254 + r.IntN(2))
				if i%3 == 0 {
					src[i] = uint8(r.IntN(256))
				}
			}
			Blocks(src, columns, by, dst)
			for i, got := range dst {
				sum := int64(0)
				for r := range by {
					for c := range by {
						sum += int64(src[(i/width*by+r)*columns+i%width*by+c])
					}
				}
				mean := new(big.Rat).Add(big.NewRat(sum, int64(by*by)), big.NewRat(1, 2))
				if want := new(big.Int).Div(mean.Num(), mean.Denom()).Int64(); int64(got) != want {
					t.Fatalf("blocks of %d, %d columns, mean %d: %d, want %d", by, columns, i, got, want)
				}
			}
		}
	}
}

func TestBlocksOfTwoAreOpenCVs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	src, a, b := make([]uint8, 30*44), make([]uint8, 15*22), make([]uint8, 15*22)
	for i := range src {
		src[i] = uint8(r.Uint32())
	}
	Blocks(src, 44, 2, a)
	AreaUint8(src, 30, 44, b, 15, 22)
	if string(a) != string(b) {
		t.Error("2 x 2 blocks differ from cv2.INTER_AREA's")
	}
}

func TestBlocksRefuseWhatDoesNotDivide(t *testing.T) {
	for _, c := range [][4]int{{16, 4, 3, 1}, {16, 4, 2, 5}, {16, 4, 0, 1}, {12, 4, 2, 3}, {16, 0, 1, 16}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v is no panic", c)
				}
			}()
			Blocks(make([]uint8, c[0]), c[1], c[2], make([]uint8, c[3]))
		}()
	}
}

// BenchmarkBlocks shrinks a vertebra's crop.
func BenchmarkBlocks(b *testing.B) {
	src := make([]uint8, 15*6*224*224)
	for _, by := range []int{2, 4} {
		dst := make([]uint8, len(src)/by/by)
		b.Run(fmt.Sprint(by), func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				Blocks(src, 224, by, dst)
			}
		})
	}
}
