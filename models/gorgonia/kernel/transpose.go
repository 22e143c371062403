package kernel

// transpose writes dst[c·dstPitch+r] = src[r·srcPitch+c] for r < rows and c < cols.
func (l *level) transpose(dst []float32, dstPitch int, src []float32, srcPitch, rows, cols int) {
	if rows <= 0 || cols <= 0 {
		return
	}
	_, _ = dst[(cols-1)*dstPitch+rows-1], src[(rows-1)*srcPitch+cols-1]
	r, c := 0, 0
	if l.transpose8 != nil {
		c = cols / 8 * 8
		for ; c > 0 && r+8 <= rows; r += 8 {
			l.transpose8(cols/8, &dst[r], &src[r*srcPitch], 4*dstPitch, 4*srcPitch)
		}
	}
	// What the blocks of eight left over: the last columns of their rows, and all columns of the last rows.
	for i := range rows {
		from := 0
		if i < r {
			from = c
		}
		in := src[i*srcPitch:][:cols]
		for j := from; j < cols; j++ {
			dst[j*dstPitch+i] = in[j]
		}
	}
}
