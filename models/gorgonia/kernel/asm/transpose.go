package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// signatures are those of the functions that take plain arguments.
var signatures = map[string]string{
	"transpose8":  "func(blocks int, dst, src *float32, dstStep, srcStep int)",
	"gather512":   "func(rows, vectors int, dst, src *float32, dstStep, srcStep int)",
	"gather256":   "func(rows, vectors int, dst, src *float32, dstStep, srcStep int)",
	"everySecond": "func(blocks int, dst, src *float32)",
	"split":       "func(blocks int, even, odd, src *float32)",
	"interleave":  "func(blocks int, dst, even, odd *float32)",
}

func plain(name, doc string) {
	ctx.Function(name)
	ctx.Attributes(attr.NOSPLIT)
	ctx.SignatureExpr(signatures[name])
	ctx.Doc(doc)
}

func param(name string) reg.GPVirtual {
	return ctx.Load(ctx.Param(name), ctx.GP64()).(reg.GPVirtual)
}

// transpose8 writes dst[column][row] = src[row][column] for 8 rows and 8·blocks columns; steps are bytes from row to row.
func transpose8() {
	plain("transpose8", "transpose8 turns 8 rows of 8·blocks columns into columns. Steps are bytes from row to row. It needs AVX.")
	n, dst, src, dstStep, srcStep := param("blocks"), param("dst"), param("src"), param("dstStep"), param("srcStep")
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

// gather copies rows of whole vectors, the next over the end of the last.
func gather() {
	for _, s := range isas {
		plain("gather"+s.name, "gather"+s.name+" copies rows of some vectors, one after another; steps are bytes from row to row.")
		rows, vectors, dst, src, dstStep, srcStep := param("rows"), param("vectors"), param("dst"), param("src"), param("dstStep"), param("srcStep")
		one := func(at Mem, to Mem) {
			v := s.vec()
			ctx.VMOVUPS(at, v)
			ctx.VMOVUPS(v, to)
		}
		ctx.CMPQ(vectors, Imm(1))
		ctx.JNE(LabelRef("many"))
		ctx.Label("single")
		one(Mem{Base: src}, Mem{Base: dst})
		ctx.ADDQ(srcStep, src)
		ctx.ADDQ(dstStep, dst)
		ctx.DECQ(rows)
		ctx.JNE(LabelRef("single"))
		ctx.VZEROUPPER()
		ctx.RET()
		ctx.Label("many")
		k, x := ctx.GP64(), ctx.GP64()
		ctx.MOVQ(vectors, k)
		ctx.XORQ(x, x)
		ctx.Label("vector")
		one(Mem{Base: src, Index: x, Scale: 1}, Mem{Base: dst, Index: x, Scale: 1})
		ctx.ADDQ(Imm(uint64(s.bytes)), x)
		ctx.DECQ(k)
		ctx.JNE(LabelRef("vector"))
		ctx.ADDQ(srcStep, src)
		ctx.ADDQ(dstStep, dst)
		ctx.DECQ(rows)
		ctx.JNE(LabelRef("many"))
		ctx.VZEROUPPER()
		ctx.RET()
	}
}

func split() {
	plain("split", "split writes even[i] = src[2i] and odd[i] = src[2i+1] for 8·blocks of each. It needs AVX2.")
	n, even, odd, src := param("blocks"), param("even"), param("odd"), param("src")
	ctx.Label("loop")
	a, b, e, o := ctx.YMM(), ctx.YMM(), ctx.YMM(), ctx.YMM()
	ctx.VMOVUPS(Mem{Base: src}, a)
	ctx.VMOVUPS(Mem{Base: src, Disp: 32}, b)
	ctx.VSHUFPS(Imm(0x88), b, a, e)
	ctx.VSHUFPS(Imm(0xdd), b, a, o)
	ctx.VPERMPD(Imm(0xd8), e, e)
	ctx.VPERMPD(Imm(0xd8), o, o)
	ctx.VMOVUPS(e, Mem{Base: even})
	ctx.VMOVUPS(o, Mem{Base: odd})
	ctx.ADDQ(Imm(64), src)
	ctx.ADDQ(Imm(32), even)
	ctx.ADDQ(Imm(32), odd)
	ctx.DECQ(n)
	ctx.JNE(LabelRef("loop"))
	ctx.VZEROUPPER()
	ctx.RET()
}

func everySecond() {
	plain("everySecond", "everySecond writes dst[i] = src[2i] for 8·blocks values and reads 16·blocks. It needs AVX2.")
	n, dst, src := param("blocks"), param("dst"), param("src")
	ctx.Label("loop")
	a, b := ctx.YMM(), ctx.YMM()
	ctx.VMOVUPS(Mem{Base: src}, a)
	ctx.VMOVUPS(Mem{Base: src, Disp: 32}, b)
	ctx.VSHUFPS(Imm(0x88), b, a, a)
	ctx.VPERMPD(Imm(0xd8), a, a)
	ctx.VMOVUPS(a, Mem{Base: dst})
	ctx.ADDQ(Imm(64), src)
	ctx.ADDQ(Imm(32), dst)
	ctx.DECQ(n)
	ctx.JNE(LabelRef("loop"))
	ctx.VZEROUPPER()
	ctx.RET()
}

func interleave() {
	plain("interleave", "interleave writes dst[2i] = even[i] and dst[2i+1] = odd[i] for 8·blocks of each. It needs AVX.")
	n, dst, even, odd := param("blocks"), param("dst"), param("even"), param("odd")
	ctx.Label("loop")
	a, b, lo, hi := ctx.YMM(), ctx.YMM(), ctx.YMM(), ctx.YMM()
	ctx.VMOVUPS(Mem{Base: even}, a)
	ctx.VMOVUPS(Mem{Base: odd}, b)
	ctx.VUNPCKLPS(b, a, lo)
	ctx.VUNPCKHPS(b, a, hi)
	ctx.VPERM2F128(Imm(0x20), hi, lo, a)
	ctx.VPERM2F128(Imm(0x31), hi, lo, b)
	ctx.VMOVUPS(a, Mem{Base: dst})
	ctx.VMOVUPS(b, Mem{Base: dst, Disp: 32})
	ctx.ADDQ(Imm(32), even)
	ctx.ADDQ(Imm(32), odd)
	ctx.ADDQ(Imm(64), dst)
	ctx.DECQ(n)
	ctx.JNE(LabelRef("loop"))
	ctx.VZEROUPPER()
	ctx.RET()
}
