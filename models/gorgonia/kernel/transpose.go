package kernel

// transpose writes dst[c·dstPitch+r] = src[r·srcPitch+c] for r < rows and c < cols.
func (l *level) transpose(dst []float32, dstPitch int, src []float32, srcPitch, rows, cols int) {
	if rows <= 0 || cols <= 0 {
		return
	}
	_, _ = dst[(cols-1)*dstPitch+rows-1], src[(rows-1)*srcPitch+cols-1]
	if l.transpose8 != nil && rows >= 8 && cols >= 8 {
		// Eight by eight; the last rows and columns, some of them again, when there is no multiple of eight.
		for r := 0; ; r = min(r+8, rows-8) {
			l.transpose8(cols/8, &dst[r], &src[r*srcPitch], 4*dstPitch, 4*srcPitch)
			if cols%8 != 0 {
				l.transpose8(1, &dst[(cols-8)*dstPitch+r], &src[r*srcPitch+cols-8], 4*dstPitch, 4*srcPitch)
			}
			if r == rows-8 {
				return
			}
		}
	}
	for i := range rows {
		for c, v := range src[i*srcPitch:][:cols] {
			dst[c*dstPitch+i] = v
		}
	}
}

// copyRows copies rows of w floats that lie srcPitch apart to places dstPitch ≥ w apart. dst and src must have a vector more than w after
// the begin of their last rows; what follows a row in dst may be overwritten before the next row is written.
func (l *level) copyRows(dst []float32, dstPitch int, src []float32, srcPitch, w, rows int) {
	if rows <= 0 {
		return
	}
	if l.gather != nil {
		n := ceilDiv(w, l.lanes)
		_, _ = dst[(rows-1)*dstPitch+n*l.lanes-1], src[(rows-1)*srcPitch+n*l.lanes-1]
		l.gather(rows, n, &dst[0], &src[0], 4*dstPitch, 4*srcPitch)
		return
	}
	for y := range rows {
		copy(dst[y*dstPitch:][:w], src[y*srcPitch:])
	}
}

// pick writes dst[i] = src[i·step].
func (l *level) pick(dst, src []float32, step int) {
	if step == 1 {
		copy(dst, src[:len(dst)])
		return
	}
	i := 0
	if step == 2 && l.everySecond != nil {
		// The last block would read one float more than the last value needs.
		if n := min(len(dst), len(src)/2) / 8; n > 0 {
			l.everySecond(n, &dst[0], &src[0])
			i = 8 * n
		}
	}
	for ; i < len(dst); i++ {
		dst[i] = src[i*step]
	}
}

// weave writes dst[i·step+k] = phases[k][i].
func (l *level) weave(dst []float32, phases [][]float32, step int) {
	first := 0
	if step == 2 && len(phases) == 2 && l.interleave != nil {
		if n := len(phases[1]) / 8; n > 0 {
			_, _ = dst[16*n-1], phases[0][8*n-1]
			l.interleave(n, &dst[0], &phases[0][0], &phases[1][0])
			first = 8 * n
		}
	}
	for k, p := range phases {
		for i := first; i < len(p); i++ {
			dst[i*step+k] = p[i]
		}
	}
}
