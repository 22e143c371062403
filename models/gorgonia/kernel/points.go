package kernel

// points is a convolution of single points over planes so small that vectors would be mostly padding: matrix products over the
// positions of several images at once. Images whose planes are points are products as they lie.
type points struct {
	batch, in, out, n int // n positions of a plane
	images            int // at a time
}

const (
	smallPlane   = 64        // positions up to which planes are joined
	pointsFloats = 256 << 10 // of inputs and outputs that are joined, roughly: they stay in the caches
	pointsLeast  = 384       // positions that a product should have at least
)

// newPoints returns nil where the geometry is another.
func newPoints(g *Geometry) *points {
	one := [3]int{1, 1, 1}
	if g.Kernel != one || g.Stride != one || g.PadBegin != [3]int{} || g.InSize != g.OutSize || g.Group != 1 || g.Batch < 2 || volume(g.InSize) > smallPlane {
		return nil
	}
	p := &points{batch: g.Batch, in: g.In, out: g.Out, n: volume(g.InSize)}
	p.images = min(p.batch, ceilDiv(max(pointsLeast, pointsFloats/(p.in+p.out)), p.n))
	return p
}

// forward writes y = w·x + bias.
func (p *points) forward(w *Workers, y, x, weight, bias []float32) {
	if p.n == 1 {
		p.times(w, product{transB: true, m: p.batch, n: p.out, k: p.in, a: x, lda: p.in, b: weight, ldb: p.in, c: y, ldc: p.out})
		for i := range p.batch {
			if bias != nil {
				Add(y[i*p.out:][:p.out], y[i*p.out:][:p.out], bias)
			}
		}
		return
	}
	p.chunks(w, func(first, images int, joinedIn, joinedOut []float32) {
		cols := images * p.n
		p.join(w, joinedIn, x, p.in, first, images)
		p.times(w, product{m: p.out, n: cols, k: p.in, a: weight, lda: p.in, b: joinedIn, ldb: cols, c: joinedOut, ldc: cols})
		p.part(w, y, joinedOut, p.out, first, images, bias)
	})
}

// gradInput writes dx = wᵀ·dy.
func (p *points) gradInput(w *Workers, dx, weight, dy []float32) {
	if p.n == 1 {
		p.times(w, product{m: p.batch, n: p.in, k: p.out, a: dy, lda: p.out, b: weight, ldb: p.in, c: dx, ldc: p.in})
		return
	}
	p.chunks(w, func(first, images int, joinedIn, joinedOut []float32) {
		cols := images * p.n
		p.join(w, joinedOut, dy, p.out, first, images)
		p.times(w, product{transA: true, m: p.in, n: cols, k: p.out, a: weight, lda: p.in, b: joinedOut, ldb: cols, c: joinedIn, ldc: cols})
		p.part(w, dx, joinedIn, p.in, first, images, nil)
	})
}

// gradWeight writes dw = dy·xᵀ, summed over the batch in its order.
func (p *points) gradWeight(w *Workers, dweight, x, dy []float32) {
	if p.n == 1 {
		p.times(w, product{transA: true, m: p.out, n: p.in, k: p.batch, a: dy, lda: p.out, b: x, ldb: p.in, c: dweight, ldc: p.in})
		return
	}
	p.chunks(w, func(first, images int, joinedIn, joinedOut []float32) {
		cols := images * p.n
		p.join(w, joinedIn, x, p.in, first, images)
		p.join(w, joinedOut, dy, p.out, first, images)
		sum := product{transB: true, m: p.out, n: p.in, k: cols, a: joinedOut, lda: cols, b: joinedIn, ldb: cols, c: dweight, ldc: p.in}
		if first > 0 {
			sum.beta = 1
		}
		p.times(w, sum)
	})
}

func (p *points) times(w *Workers, m product) {
	m.level, m.alpha = best, 1
	m.run(w)
}

// chunks calls f for some images at a time, with scratch for their inputs and outputs.
func (p *points) chunks(w *Workers, f func(first, images int, in, out []float32)) {
	most := p.images * p.n
	scratch := w.floats((p.in + p.out) * most)
	for first := 0; first < p.batch; first += p.images {
		images := min(p.images, p.batch-first)
		cols := images * p.n
		f(first, images, scratch[:p.in*cols], scratch[p.in*most:][:p.out*cols])
	}
}

// join copies planes [image, channel, n] to [channel, image, n].
func (p *points) join(w *Workers, joined, x []float32, channels, first, images int) {
	p.share(w, channels, images, func(c int) {
		for i := range images {
			copy(joined[(c*images+i)*p.n:][:p.n], x[((first+i)*channels+c)*p.n:])
		}
	})
}

// part is join's inverse, and adds the bias.
func (p *points) part(w *Workers, x, joined []float32, channels, first, images int, bias []float32) {
	p.share(w, channels, images, func(c int) {
		row := joined[c*images*p.n:][:images*p.n]
		if bias != nil {
			Affine(row, row, 1, bias[c])
		}
		for i := range images {
			copy(x[((first+i)*channels+c)*p.n:][:p.n], row[i*p.n:])
		}
	})
}

// share calls f for all channels, some at a time side by side.
func (p *points) share(w *Workers, channels, images int, f func(c int)) {
	each := max(1, 4096/(images*p.n))
	w.Do(ceilDiv(channels, each), func(_, piece int) {
		for c := piece * each; c < min(channels, (piece+1)*each); c++ {
			f(c)
		}
	})
}
