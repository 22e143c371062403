//go:generate go -C asm run .

package kernel

import "golang.org/x/sys/cpu"

func machineLevels() []*level {
	var l []*level
	x := &cpu.X86
	if x.HasAVX512F && x.HasAVX512VL && x.HasAVX512DQ && x.HasAVX512BW && x.HasFMA && x.HasAVX2 {
		l = append(l, &level{
			name:  "avx512",
			lanes: 16,
			rows:  []int{8, 4, 1},
			tiles: [9][]tile{
				8: {{3, tile512_8x3}, {2, tile512_8x2}, {1, tile512_8x1}},
				4: {{6, tile512_4x6}, {3, tile512_4x3}, {2, tile512_4x2}, {1, tile512_4x1}},
				1: {{8, tile512_1x8}, {4, tile512_1x4}, {2, tile512_1x2}, {1, tile512_1x1}},
			},
			dots:       [5]dot{4: {6, dot512_4x6}, 1: {6, dot512_1x6}},
			transpose8: transpose8,
		})
	}
	if x.HasAVX2 && x.HasFMA {
		l = append(l, &level{
			name:  "avx2",
			lanes: 8,
			rows:  []int{4, 1},
			tiles: [9][]tile{
				4: {{3, tile256_4x3}, {2, tile256_4x2}, {1, tile256_4x1}},
				1: {{8, tile256_1x8}, {4, tile256_1x4}, {2, tile256_1x2}, {1, tile256_1x1}},
			},
			dots:       [5]dot{4: {3, dot256_4x3}, 1: {6, dot256_1x6}},
			transpose8: transpose8,
		})
	}
	return l
}
