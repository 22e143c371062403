package kernel

import "golang.org/x/sys/cpu"

//go:generate go -C asm run .

func machineLevels() []*level {
	var l []*level
	x := &cpu.X86
	if x.HasAVX512F && x.HasAVX512VL && x.HasAVX512DQ && x.HasAVX512BW && x.HasFMA && x.HasAVX2 {
		l = append(l, &level{
			name:  "avx512",
			lanes: 16,
			tiles: [][]tile{
				{{8, tile512_1x8}, {4, tile512_1x4}, {2, tile512_1x2}, {1, tile512_1x1}},
				{{6, tile512_2x6}, {3, tile512_2x3}, {2, tile512_2x2}, {1, tile512_2x1}},
				{{6, tile512_3x6}, {3, tile512_3x3}, {2, tile512_3x2}, {1, tile512_3x1}},
				{{6, tile512_4x6}, {3, tile512_4x3}, {2, tile512_4x2}, {1, tile512_4x1}},
				{{4, tile512_5x4}, {2, tile512_5x2}, {1, tile512_5x1}},
				{{4, tile512_6x4}, {2, tile512_6x2}, {1, tile512_6x1}},
				{{3, tile512_7x3}, {2, tile512_7x2}, {1, tile512_7x1}},
				{{3, tile512_8x3}, {2, tile512_8x2}, {1, tile512_8x1}},
			},
			dots:       []dot{{6, dot512_1x6}, {6, dot512_2x6}, {6, dot512_3x6}, {6, dot512_4x6}},
			transpose8: transpose8,
			vectorLoops: vectorLoops{
				add:        add512,
				mul:        mul512,
				max:        max512,
				over:       over512,
				axpy:       axpy512,
				affine:     affine512,
				affine2:    affine2512,
				relu:       relu512,
				affineRelu: affineRelu512,
				reluGrad:   reluGrad512,
				exp:        exp512,
				sigmoid:    sigmoid512,
				tanh:       tanh512,
				gelu:       gelu512,
				geluGrad:   geluGrad512,
				silu:       silu512,
				siluGrad:   siluGrad512,
				sum:        sum512,
				product:    product512,
				moments:    moments512,
				shifted:    shifted512,
				adamW:      adamW512,
			},
			gather:      gather512,
			everySecond: everySecond,
			split:       split,
			interleave:  interleave,
		})
	}
	if x.HasAVX2 && x.HasFMA {
		l = append(l, &level{
			name:  "avx2",
			lanes: 8,
			tiles: [][]tile{
				{{8, tile256_1x8}, {4, tile256_1x4}, {2, tile256_1x2}, {1, tile256_1x1}},
				{{6, tile256_2x6}, {3, tile256_2x3}, {2, tile256_2x2}, {1, tile256_2x1}},
				{{4, tile256_3x4}, {2, tile256_3x2}, {1, tile256_3x1}},
				{{3, tile256_4x3}, {2, tile256_4x2}, {1, tile256_4x1}},
			},
			dots:       []dot{{6, dot256_1x6}, {4, dot256_2x4}, {3, dot256_3x3}, {3, dot256_4x3}},
			transpose8: transpose8,
			vectorLoops: vectorLoops{
				add:        add256,
				mul:        mul256,
				max:        max256,
				over:       over256,
				axpy:       axpy256,
				affine:     affine256,
				affine2:    affine2256,
				relu:       relu256,
				affineRelu: affineRelu256,
				reluGrad:   reluGrad256,
				exp:        exp256,
				sigmoid:    sigmoid256,
				tanh:       tanh256,
				gelu:       gelu256,
				geluGrad:   geluGrad256,
				silu:       silu256,
				siluGrad:   siluGrad256,
				sum:        sum256,
				product:    product256,
				moments:    moments256,
				shifted:    shifted256,
				adamW:      adamW256,
			},
			gather:      gather256,
			everySecond: everySecond,
			split:       split,
			interleave:  interleave,
		})
	}
	return l
}
