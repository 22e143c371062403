#include "textflag.h"

// func blockExtremes(pix []uint16, lows, highs *[16]uint16)
TEXT ·blockExtremes(SB), NOSPLIT, $0-40
	MOVQ pix_base+0(FP), SI
	MOVQ pix_len+8(FP), CX
	SHRQ $6, CX
	VMOVDQU (SI), Y0       // lows
	VMOVDQA Y0, Y1         // lows, second pair
	VMOVDQA Y0, Y2         // highs
	VMOVDQA Y0, Y3         // highs, second pair

next:
	VMOVDQU (SI), Y4
	VMOVDQU 32(SI), Y5
	VMOVDQU 64(SI), Y6
	VMOVDQU 96(SI), Y7
	VPMINUW Y4, Y0, Y0
	VPMAXUW Y4, Y2, Y2
	VPMINUW Y5, Y1, Y1
	VPMAXUW Y5, Y3, Y3
	VPMINUW Y6, Y0, Y0
	VPMAXUW Y6, Y2, Y2
	VPMINUW Y7, Y1, Y1
	VPMAXUW Y7, Y3, Y3
	ADDQ $128, SI
	DECQ CX
	JNZ  next

	VPMINUW Y1, Y0, Y0
	VPMAXUW Y3, Y2, Y2
	MOVQ lows+24(FP), DI
	VMOVDQU Y0, (DI)
	MOVQ highs+32(FP), DI
	VMOVDQU Y2, (DI)
	VZEROUPPER
	RET
