package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const transposeSignature = "func(blocks int, dst, src *float32, dstStep, srcStep int)"

// transpose8 writes dst[column][row] = src[row][column] for 8 rows and 8·blocks columns; steps are bytes from row to row.
func transpose8() {
	ctx.Function("transpose8")
	ctx.Attributes(attr.NOSPLIT)
	ctx.SignatureExpr(transposeSignature)
	ctx.Doc("transpose8 turns 8 rows of 8·blocks columns into columns. Steps are bytes from row to row. It needs AVX.")
	n := ctx.Load(ctx.Param("blocks"), ctx.GP64())
	dst := ctx.Load(ctx.Param("dst"), ctx.GP64()).(reg.GPVirtual)
	src := ctx.Load(ctx.Param("src"), ctx.GP64()).(reg.GPVirtual)
	dstStep := ctx.Load(ctx.Param("dstStep"), ctx.GP64()).(reg.GPVirtual)
	srcStep := ctx.Load(ctx.Param("srcStep"), ctx.GP64()).(reg.GPVirtual)
	in, out := newRows(src, srcStep, 8), newRows(dst, dstStep, 8)
	ctx.TESTQ(n, n)
	ctx.JLE(LabelRef("done"))
	ctx.Label("loop")
	var r, t [8]reg.VecVirtual
	for i := range r {
		r[i] = ctx.YMM()
		ctx.VMOVUPS(in.at(i), r[i])
	}
	// Pairs of rows, pairs of pairs, halves.
	for i := 0; i < 8; i += 2 {
		t[i], t[i+1] = ctx.YMM(), ctx.YMM()
		ctx.VUNPCKLPS(r[i+1], r[i], t[i])
		ctx.VUNPCKHPS(r[i+1], r[i], t[i+1])
	}
	var u [8]reg.VecVirtual
	for h := 0; h < 8; h += 4 {
		for i := range 2 {
			u[h+2*i], u[h+2*i+1] = ctx.YMM(), ctx.YMM()
			ctx.VSHUFPS(Imm(0x44), t[h+2+i], t[h+i], u[h+2*i])
			ctx.VSHUFPS(Imm(0xee), t[h+2+i], t[h+i], u[h+2*i+1])
		}
	}
	for i := range 4 {
		v := ctx.YMM()
		ctx.VPERM2F128(Imm(0x20), u[4+i], u[i], v)
		ctx.VMOVUPS(v, out.at(i))
		w := ctx.YMM()
		ctx.VPERM2F128(Imm(0x31), u[4+i], u[i], w)
		ctx.VMOVUPS(w, out.at(4+i))
	}
	for _, b := range []reg.GPVirtual{in.base, in.base3} {
		ctx.ADDQ(Imm(32), b)
	}
	for _, b := range []reg.GPVirtual{out.base, out.base3} {
		ctx.LEAQ(Mem{Base: b, Index: dstStep, Scale: 8}, b)
	}
	ctx.DECQ(n)
	ctx.JNE(LabelRef("loop"))
	ctx.Label("done")
	ctx.VZEROUPPER()
	ctx.RET()
}
