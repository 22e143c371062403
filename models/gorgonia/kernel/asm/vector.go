package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Maps: dst[i] = f(x[i], z[i]) with scalars a, b and c. They multiply and add in two steps, as Go does, so that an element's
// value does not depend on whether it is in a whole vector.

const mapSignature = "func(vectors int, dst, x, z *float32, a, b, c float32)"

// maps are the loops: reads says whether z is read, scalars how many of a, b, c.
type mapLoop struct {
	name    string
	z       bool
	scalars int
	f       func(s isa, x, z Op, k []reg.VecVirtual) reg.VecVirtual
}

var maps = []mapLoop{
	{"add", true, 0, func(s isa, x, z Op, _ []reg.VecVirtual) reg.VecVirtual { return s.add(s.load(x), z) }},
	{"mul", true, 0, func(s isa, x, z Op, _ []reg.VecVirtual) reg.VecVirtual { return s.mul(s.load(x), z) }},
	// The larger, NaN where either is: MAX gives its second operand, z, for NaN in any.
	{"max", true, 0, func(s isa, x, z Op, _ []reg.VecVirtual) reg.VecVirtual {
		a, larger := s.load(x), s.vec()
		ctx.VMAXPS(z, a, larger)
		if s.wide {
			k := ctx.K()
			ctx.VCMPPS(Imm(3), a, a, k) // unordered
			ctx.VMOVAPS(a, k, larger)
			return larger
		}
		m, v := s.vec(), s.vec()
		ctx.VCMPPS(Imm(3), a, a, m)
		ctx.VBLENDVPS(m, a, larger, v)
		return v
	}},
	// dst = x / a
	{"over", false, 1, func(s isa, x, _ Op, k []reg.VecVirtual) reg.VecVirtual {
		v := s.load(x)
		ctx.VDIVPS(k[0], v, v)
		return v
	}},
	// dst = x + a·z
	{"axpy", true, 1, func(s isa, x, z Op, k []reg.VecVirtual) reg.VecVirtual { return s.add(s.mul(k[0], z), x) }},
	// dst = a·x + b
	{"affine", false, 2, func(s isa, x, _ Op, k []reg.VecVirtual) reg.VecVirtual { return s.add(s.mul(k[0], x), k[1]) }},
	// dst = a·x + b·z + c
	{"affine2", true, 3, func(s isa, x, z Op, k []reg.VecVirtual) reg.VecVirtual {
		return s.add(s.add(s.mul(k[0], x), s.mul(k[1], z)), k[2])
	}},
	{"relu", false, 0, func(s isa, x, _ Op, _ []reg.VecVirtual) reg.VecVirtual { return s.relu(s.load(x)) }},
	{"affineRelu", false, 2, func(s isa, x, _ Op, k []reg.VecVirtual) reg.VecVirtual {
		return s.relu(s.add(s.mul(k[0], x), k[1]))
	}},
	// dst = z where x > 0
	{"reluGrad", true, 0, func(s isa, x, z Op, _ []reg.VecVirtual) reg.VecVirtual {
		o := s.zero()
		if s.wide {
			k := ctx.K()
			ctx.VCMPPS(Imm(14), o, s.load(x), k) // greater than
			v := s.vec()
			ctx.VMOVUPS_Z(z, k, v)
			return v
		}
		m := s.vec()
		ctx.VCMPPS(Imm(14), o, s.load(x), m)
		ctx.VANDPS(z, m, m)
		return m
	}},
	{"exp", false, 0, func(s isa, x, _ Op, _ []reg.VecVirtual) reg.VecVirtual { return s.exp(s.load(x)) }},
	{"sigmoid", false, 0, func(s isa, x, _ Op, _ []reg.VecVirtual) reg.VecVirtual { return s.sigmoid(s.load(x)) }},
	{"tanh", false, 0, func(s isa, x, _ Op, _ []reg.VecVirtual) reg.VecVirtual { return s.tanh(s.load(x)) }},
	// dst = x·Φ(x)
	{"gelu", false, 0, func(s isa, x, _ Op, _ []reg.VecVirtual) reg.VecVirtual {
		v := s.load(x)
		share, _ := s.normal(v)
		return s.mul(share, v)
	}},
	// dst = z·(Φ(x) + x·φ(x))
	{"geluGrad", true, 0, func(s isa, x, z Op, _ []reg.VecVirtual) reg.VecVirtual {
		v := s.load(x)
		share, e := s.normal(v)
		ctx.VMULPS(s.constant(bits(1/math.Sqrt(2*math.Pi))), e, e)
		ctx.VFMADD231PS(e, v, share)
		return s.mul(share, z)
	}},
	// dst = x·sigmoid(x)
	{"silu", false, 0, func(s isa, x, _ Op, _ []reg.VecVirtual) reg.VecVirtual {
		v := s.load(x)
		return s.mul(s.sigmoid(v), v)
	}},
	// dst = z·(s·(1 + x·(1 − s))), s = sigmoid(x)
	{"siluGrad", true, 0, func(s isa, x, z Op, _ []reg.VecVirtual) reg.VecVirtual {
		v, one := s.load(x), s.constant(0x3f800000)
		g, rest := s.sigmoid(v), s.vec()
		ctx.VSUBPS(g, one, rest)
		ctx.VFMADD213PS(one, v, rest)
		return s.mul(s.mul(rest, g), z)
	}},
}

func (s isa) sigmoid(x reg.VecVirtual) reg.VecVirtual {
	one := s.constant(0x3f800000)
	n := s.vec()
	s.xor(x, s.constant(0x80000000), n)
	e := s.add(s.exp(n), one)
	ctx.VDIVPS(e, one, e)
	return e
}

// normal returns Φ(x), the normal distribution's share below x, within 1.2e-7, and e^(−x²/2). The share beyond |x| is e^(−x²/2)·t·P(t) with
// t = 1/(1 + 0.4·|x|), the form of Abramowitz and Stegun's 7.1.26; P interpolates at ten Chebyshev nodes of t.
func (s isa) normal(x reg.VecVirtual) (share, e reg.VecVirtual) {
	e = s.exp(s.mul(s.mul(x, s.constant(bits(-.5))), x))
	sign, t := s.vec(), s.vec()
	mask, one := s.constant(0x80000000), s.constant(0x3f800000)
	if s.wide {
		ctx.VPANDD(x, mask, sign)
	} else {
		ctx.VANDPS(x, mask, sign)
	}
	s.xor(x, sign, t)
	ctx.VFMADD213PS(one, s.constant(bits(.4)), t)
	ctx.VDIVPS(t, one, t)
	p := s.constant(bits(tailSeries[0]))
	for _, c := range tailSeries[1:] {
		ctx.VFMADD213PS(s.constant(bits(c)), t, p)
	}
	tail, rest := s.mul(s.mul(p, t), e), s.vec()
	ctx.VSUBPS(tail, one, rest)
	share = s.vec()
	if s.wide {
		k := ctx.K()
		ctx.VCMPPS(Imm(1), s.zero(), x, k) // less than
		ctx.VMOVAPS(rest, share)
		ctx.VMOVAPS(tail, k, share)
	} else {
		ctx.VBLENDVPS(x, tail, rest, share) // by the sign
	}
	return share, e
}

// tailSeries are P's coefficients, t⁹'s first.
var tailSeries = []float64{0.028780879452824593, -0.1594553142786026, 0.34504184126853943, -0.3298165202140808, 0.0878758430480957,
	-0.01292390562593937, 0.08764062821865082, 0.13369232416152954, 0.15958738327026367, 0.15957686305046082}

func (s isa) load(x Op) reg.VecVirtual {
	v := s.vec()
	ctx.VMOVUPS(x, v)
	return v
}

func (s isa) add(a reg.VecVirtual, b Op) reg.VecVirtual {
	v := s.vec()
	ctx.VADDPS(b, a, v)
	return v
}

func (s isa) mul(a reg.VecVirtual, b Op) reg.VecVirtual {
	v := s.vec()
	ctx.VMULPS(b, a, v)
	return v
}

func (s isa) xor(a, b Op, to reg.VecVirtual) {
	if s.wide {
		ctx.VPXORD(a, b, to)
	} else {
		ctx.VXORPS(a, b, to)
	}
}

func (s isa) zero() reg.VecVirtual {
	v := s.vec()
	s.xor(v, v, v)
	return v
}

// relu returns max(0, x), with NaN for NaN: MAX gives its second operand then.
func (s isa) relu(x reg.VecVirtual) reg.VecVirtual {
	v := s.vec()
	ctx.VMAXPS(x, s.zero(), v)
	return v
}

// constants are those in memory, by their bits.
var constants = map[uint32]Mem{}

// constant broadcasts a float32 by its bits.
func (s isa) constant(bits uint32) reg.VecVirtual {
	at, ok := constants[bits]
	if !ok {
		at = ctx.ConstData(fmt.Sprintf("constant%08x", bits), U32(bits))
		constants[bits] = at
	}
	v := s.vec()
	ctx.VBROADCASTSS(at, v)
	return v
}

// exp returns e^x within about one unit in the last place: x = n·ln 2 + r, e^r by a polynomial with Taylor's coefficients on |r| ≤ ln 2 / 2, and
// 2^n in two factors, so that results go through the subnormal numbers to zero and through the greatest to infinity.
func (s isa) exp(x reg.VecVirtual) reg.VecVirtual {
	// Beyond these the result is infinite or zero; MIN and MAX give the second operand for NaN, x.
	v := s.vec()
	ctx.VMINPS(x, s.constant(0x42b40000), v) // 90
	ctx.VMAXPS(v, s.constant(0xc2d20000), v) // −105
	n := s.mul(v, s.constant(0x3fb8aa3b))    // log2 e
	if s.wide {
		ctx.VRNDSCALEPS(Imm(0), n, n)
	} else {
		ctx.VROUNDPS(Imm(0), n, n)
	}
	// ln 2 in two parts, the first with few bits.
	ctx.VFNMADD231PS(s.constant(0x3f318000), n, v)
	ctx.VFNMADD231PS(s.constant(0xb95e8083), n, v)
	p := s.constant(0x39500d01) // 1/5040
	for _, c := range []uint32{0x3ab60b61, 0x3c088889, 0x3d2aaaab, 0x3e2aaaab, 0x3f000000, 0x3f800000, 0x3f800000} {
		ctx.VFMADD213PS(s.constant(c), v, p)
	}
	i, half := s.vec(), s.vec()
	ctx.VCVTPS2DQ(n, i)
	ctx.VPSRAD(Imm(1), i, half)
	ctx.VPSUBD(half, i, i)
	for _, e := range []reg.VecVirtual{half, i} {
		ctx.VPADDD(s.constant(127), e, e)
		ctx.VPSLLD(Imm(23), e, e)
		ctx.VMULPS(e, p, p)
	}
	return p
}

// tanh returns x·(1 + x²·P(x²)) near zero, and 1 − 2/(e^2|x| + 1) with x's sign elsewhere.
func (s isa) tanh(x reg.VecVirtual) reg.VecVirtual {
	sign, abs := s.vec(), s.vec()
	mask := s.constant(0x80000000)
	if s.wide {
		ctx.VPANDD(x, mask, sign)
	} else {
		ctx.VANDPS(x, mask, sign)
	}
	s.xor(x, sign, abs)
	one := s.constant(0x3f800000)
	e := s.add(s.exp(s.add(abs, abs)), one)
	far := s.vec()
	ctx.VDIVPS(e, s.constant(0xc0000000), far) // −2/(e+1)
	ctx.VADDPS(one, far, far)
	s.xor(far, sign, far)
	// tanh's series to x¹³, good to a unit below 0.35.
	q := s.mul(x, x)
	p := s.constant(tanhSeries[0])
	for _, c := range tanhSeries[1:] {
		ctx.VFMADD213PS(s.constant(c), q, p)
	}
	near := s.mul(q, x)
	ctx.VFMADD213PS(x, p, near)
	out := s.vec()
	limit := s.constant(0x3eb33333) // 0.35
	if s.wide {
		k := ctx.K()
		ctx.VCMPPS(Imm(1), limit, abs, k) // less than
		ctx.VMOVAPS(far, out)
		ctx.VMOVAPS(near, k, out)
	} else {
		m := s.vec()
		ctx.VCMPPS(Imm(1), limit, abs, m)
		ctx.VBLENDVPS(m, near, far, out)
	}
	return out
}

// tanhSeries are 21844/6081075, −1382/155925, 62/2835, −17/315, 2/15 and −1/3.
var tanhSeries = []uint32{bits(21844. / 6081075), bits(-1382. / 155925), bits(62. / 2835), bits(-17. / 315), bits(2. / 15), bits(-1. / 3)}

func (s isa) mapLoop(m mapLoop) {
	name := m.name + s.name
	signatures[name] = mapSignature
	plain(name, fmt.Sprintf("%s is a loop over whole vectors.", name))
	n, dst, x := param("vectors"), param("dst"), param("x")
	var z reg.GPVirtual
	if m.z {
		z = param("z")
	}
	var k []reg.VecVirtual
	for _, p := range []string{"a", "b", "c"}[:m.scalars] {
		v := s.vec()
		at, err := ctx.Param(p).Resolve()
		if err != nil {
			panic(err)
		}
		ctx.VBROADCASTSS(at.Addr, v)
		k = append(k, v)
	}
	ctx.Label("loop")
	var zOp Op
	if m.z {
		zOp = Mem{Base: z}
	}
	ctx.VMOVUPS(m.f(s, Mem{Base: x}, zOp, k), Mem{Base: dst})
	ctx.ADDQ(Imm(uint64(s.bytes)), x)
	ctx.ADDQ(Imm(uint64(s.bytes)), dst)
	if m.z {
		ctx.ADDQ(Imm(uint64(s.bytes)), z)
	}
	ctx.DECQ(n)
	ctx.JNE(LabelRef("loop"))
	ctx.VZEROUPPER()
	ctx.RET()
}

// Sums of four times some vectors, in four partial sums that are added in pairs.

const blockSignature = "func(fours int, x, z *float32, shift float32) (s, q float32)"

type blockSum struct {
	name string
	// f adds a vector to the sums s and q.
	f func(s isa, x, z Op, shift, sum, square reg.VecVirtual)
	z bool
}

var blockSums = []blockSum{
	{"sum", func(s isa, x, _ Op, _, sum, _ reg.VecVirtual) { ctx.VADDPS(x, sum, sum) }, false},
	{"product", func(s isa, x, z Op, _, sum, _ reg.VecVirtual) { ctx.VFMADD231PS(z, s.load(x), sum) }, true},
	{"moments", func(s isa, x, _ Op, shift, sum, square reg.VecVirtual) {
		v := s.vec()
		ctx.VSUBPS(shift, s.load(x), v)
		ctx.VADDPS(v, sum, sum)
		ctx.VFMADD231PS(v, v, square)
	}, false},
	{"shifted", func(s isa, x, z Op, shift, sum, square reg.VecVirtual) {
		v, w := s.vec(), s.load(z)
		ctx.VSUBPS(shift, s.load(x), v)
		ctx.VADDPS(w, sum, sum)
		ctx.VFMADD231PS(v, w, square)
	}, true},
}

func (s isa) blockSum(b blockSum) {
	name := b.name + s.name
	signatures[name] = blockSignature
	plain(name, fmt.Sprintf("%s sums four vectors at a time.", name))
	k, x := param("fours"), param("x")
	var z reg.GPVirtual
	if b.z {
		z = param("z")
	}
	shift := s.vec()
	at, err := ctx.Param("shift").Resolve()
	if err != nil {
		panic(err)
	}
	ctx.VBROADCASTSS(at.Addr, shift)
	const n = 4
	var sums, squares [n]reg.VecVirtual
	for i := range n {
		sums[i] = s.zero()
		squares[i] = s.zero()
	}
	ctx.Label("loop")
	for i := range n {
		var zOp Op
		if b.z {
			zOp = Mem{Base: z, Disp: i * s.bytes}
		}
		b.f(s, Mem{Base: x, Disp: i * s.bytes}, zOp, shift, sums[i], squares[i])
	}
	ctx.ADDQ(U32(n*s.bytes), x)
	if b.z {
		ctx.ADDQ(U32(n*s.bytes), z)
	}
	ctx.DECQ(k)
	ctx.JNE(LabelRef("loop"))
	for i, v := range [][n]reg.VecVirtual{sums, squares} {
		ctx.VADDPS(v[1], v[0], v[0])
		ctx.VADDPS(v[3], v[2], v[2])
		ctx.VADDPS(v[2], v[0], v[0])
		ctx.Store(s.total(v[0]), ctx.ReturnIndex(i))
	}
	ctx.VZEROUPPER()
	ctx.RET()
}

// total adds the lanes of a vector.
func (s isa) total(v reg.VecVirtual) reg.VecVirtual {
	y, t := v.AsY(), ctx.XMM()
	if s.wide {
		u := ctx.YMM()
		ctx.VEXTRACTF64X4(Imm(1), v.AsZ(), u)
		ctx.VADDPS(u, y, y)
		ctx.VEXTRACTF32X4(Imm(1), y, t)
	} else {
		ctx.VEXTRACTF128(Imm(1), y, t)
	}
	w := ctx.XMM()
	ctx.VADDPS(t, v.AsX(), w)
	ctx.VMOVHLPS(w, w, t)
	ctx.VADDPS(t, w, w)
	ctx.VMOVSHDUP(w, t)
	ctx.VADDSS(t, w, w)
	return w
}

const adamSignature = "func(vectors int, w, m, v, dw *float32, k *[8]float32)"

// adamW: k has scale, lerp, keep, add, decay, size, root, epsilon, as in the Go loop.
func (s isa) adamW() {
	name := "adamW" + s.name
	signatures[name] = adamSignature
	plain(name, name+" is a loop over whole vectors.")
	n, w, m, v, g, kp := param("vectors"), param("w"), param("m"), param("v"), param("dw"), param("k")
	var k [8]reg.VecVirtual
	for i := range k {
		k[i] = s.vec()
		ctx.VBROADCASTSS(Mem{Base: kp, Disp: 4 * i}, k[i])
	}
	ctx.Label("loop")
	gv := s.mul(k[0], Mem{Base: g})
	mv, d := s.load(Mem{Base: m}), s.vec()
	ctx.VSUBPS(mv, gv, d)
	ctx.VMULPS(k[1], d, d)
	ctx.VADDPS(d, mv, mv)
	ctx.VMOVUPS(mv, Mem{Base: m})
	vv := s.mul(k[2], Mem{Base: v})
	q := s.mul(k[3], gv)
	ctx.VMULPS(gv, q, q)
	ctx.VADDPS(q, vv, vv)
	ctx.VMOVUPS(vv, Mem{Base: v})
	ctx.VSQRTPS(vv, vv)
	ctx.VDIVPS(k[6], vv, vv)
	ctx.VADDPS(k[7], vv, vv)
	ctx.VMULPS(k[5], mv, mv)
	ctx.VDIVPS(vv, mv, mv)
	wv := s.mul(k[4], Mem{Base: w})
	ctx.VSUBPS(mv, wv, wv)
	ctx.VMOVUPS(wv, Mem{Base: w})
	for _, p := range []reg.GPVirtual{w, m, v, g} {
		ctx.ADDQ(Imm(uint64(s.bytes)), p)
	}
	ctx.DECQ(n)
	ctx.JNE(LabelRef("loop"))
	ctx.VZEROUPPER()
	ctx.RET()
}
