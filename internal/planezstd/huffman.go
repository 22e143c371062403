package planezstd

import (
	"encoding/binary"
	"slices"
)

// maxBits is the longest Huffman code the format allows (RFC 8878 4.2.1).
const maxBits = 11

// huffman codes literals with a table made for them (RFC 8878 4.2). The library's encoder took three to
// five times as long on crops, and most of the whole.
type huffman struct {
	count   [256]uint32
	length  [256]uint8  // of each byte's code, 0 for a byte that does not occur
	code    [256]uint32 // code | length<<16
	top     int         // largest byte that occurs
	kinds   int         // how many bytes occur
	longest uint8       // code, in bits
	weight  []byte
	fse     fseTable
}

// build counts literals and makes their code. It reports whether there are at least two bytes to code.
func (h *huffman) build(literals []byte) bool {
	h.countBytes(literals)
	if h.kinds < 2 {
		return false
	}
	h.assignLengths()
	h.assignCodes()
	return true
}

// countBytes counts in four tables: one would wait for its own last store wherever a byte repeats.
func (h *huffman) countBytes(b []byte) {
	var n [4][256]uint32
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b)
		n[0][x&255]++
		n[1][x>>8&255]++
		n[2][x>>16&255]++
		n[3][x>>24&255]++
		n[0][x>>32&255]++
		n[1][x>>40&255]++
		n[2][x>>48&255]++
		n[3][x>>56]++
	}
	for _, v := range b {
		n[0][v]++
	}
	h.kinds = 0
	for v := range h.count {
		h.count[v] = n[0][v] + n[1][v] + n[2][v] + n[3][v]
		if h.count[v] > 0 {
			h.top = v
			h.kinds++
		}
	}
}

// assignLengths finds the code lengths by Huffman's method. As long as one exceeds maxBits, it tries again
// with counts that differ half as much, which are equal in the end. Counts that would make for too long a
// code at once are raised before the first try, which then mostly is the last.
func (h *huffman) assignLengths() {
	count := h.count
	total := uint32(0)
	for _, n := range count {
		total += n
	}
	for v, n := range count {
		if n > 0 {
			count[v] = max(n, total>>maxBits)
		}
	}
	for h.longest = h.treeDepth(&count); h.longest > maxBits; h.longest = h.treeDepth(&count) {
		for v, n := range count {
			if n > 0 {
				count[v] = n/2 + 1
			}
		}
	}
}

// treeDepth sets the lengths for the given counts and returns the longest.
func (h *huffman) treeDepth(count *[256]uint32) uint8 {
	var order [256]uint32 // count<<8 | byte, by rising count; a block is too short to overflow it
	leaves := order[:0]
	for v, n := range count {
		if n > 0 {
			leaves = append(leaves, n<<8|uint32(v))
		}
	}
	slices.Sort(leaves)
	// Leaves are nodes 0 to k-1, inner nodes follow as they are made, by rising sum: two queues.
	k := len(leaves)
	var sum [512]uint32
	var parent [512]uint16
	for i, v := range leaves {
		sum[i] = v >> 8
	}
	leaf, inner := 0, k
	for made := k; made < 2*k-1; made++ {
		for range 2 {
			i := inner
			if leaf < k && (inner == made || sum[leaf] <= sum[inner]) {
				i = leaf
				leaf++
			} else {
				inner++
			}
			sum[made] += sum[i]
			parent[i] = uint16(made)
		}
	}
	var depth [512]uint8
	for i := 2*k - 3; i >= 0; i-- {
		depth[i] = depth[parent[i]] + 1
	}
	h.length = [256]uint8{}
	for i, v := range leaves {
		h.length[v&255] = depth[i]
	}
	return slices.Max(depth[:k])
}

// assignCodes numbers the codes: the longest first, equal lengths by byte (RFC 8878 4.2.1.3).
func (h *huffman) assignCodes() {
	var of [maxBits + 1]uint32
	for _, n := range h.length {
		of[n]++
	}
	var next [maxBits + 1]uint32
	code := uint32(0)
	for n := maxBits; n > 0; n-- {
		next[n] = code
		code = (code + of[n]) >> 1
	}
	for v, n := range h.length {
		h.code[v] = next[n] | uint32(n)<<16
		next[n]++
	}
}

// appendPacked appends the tree and the four streams of literals, which build was given. Where that would not be
// smaller than the literals, it returns nothing.
func (h *huffman) appendPacked(dst, literals []byte) []byte {
	size := 0
	for v, n := range h.count {
		size += int(n) * int(h.length[v])
	}
	if size/8+10 >= len(literals) {
		return nil
	}
	if dst = h.appendTree(dst); dst == nil {
		return nil
	}
	return h.appendStreams(dst, literals)
}

// appendTree writes the Huffman_Tree_Description (RFC 8878 4.2.1.1): a weight of every byte but the last.
// The format has no way to write some rare trees; for these it returns nothing.
func (h *huffman) appendTree(dst []byte) []byte {
	h.weight = h.weight[:0]
	for _, n := range h.length[:h.top] {
		if n > 0 {
			n = h.longest + 1 - n
		}
		h.weight = append(h.weight, n)
	}
	const packedMost, plainMost = 127, 128
	head := len(dst)
	packed := h.appendWeights(append(dst, 0))
	size := len(packed) - head - 1
	if packed != nil && size <= packedMost && (size < (h.top+1)/2 || h.top > plainMost) {
		packed[head] = byte(size)
		return packed
	}
	if h.top > plainMost {
		return nil
	}
	dst = append(dst[:head], byte(127+h.top))
	for i := 0; i < h.top; i += 2 {
		w := h.weight[i] << 4
		if i+1 < h.top {
			w |= h.weight[i+1]
		}
		dst = append(dst, w)
	}
	return dst
}

// appendWeights compresses the weights by finite state entropy with two states in turn (RFC 8878
// 4.2.1.2). If all are the same it cannot, and returns nothing.
func (h *huffman) appendWeights(dst []byte) []byte {
	const weightLog = 6
	if h.fse.build(h.weight, weightLog) || len(h.weight) < 3 {
		return nil
	}
	dst = h.fse.appendDescription(dst)
	n := len(h.weight)
	w := newBitWriter(dst, n+8)
	var state [2]uint32
	state[(n-1)&1] = h.fse.first(h.weight[n-1])
	state[n&1] = h.fse.first(h.weight[n-2])
	for i := n - 3; i >= 0; i-- {
		state[i&1] = h.fse.step(&w, state[i&1], h.weight[i])
		w.flush()
	}
	size := uint32(1)<<h.fse.log - 1
	w.add(uint64(state[1]&size), uint8(h.fse.log))
	w.add(uint64(state[0]&size), uint8(h.fse.log))
	w.add(1, 1)
	return w.close()
}

// appendStreams writes literals in four streams behind a jump table (RFC 8878 3.1.1.3.1.6). There must be
// at least 6 of them, and no more than a block holds.
func (h *huffman) appendStreams(dst, literals []byte) []byte {
	head := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0)
	part := (len(literals) + 3) / 4
	for i := range 4 {
		from := len(dst)
		dst = h.appendStream(dst, literals[i*part:min((i+1)*part, len(literals))])
		if i < 3 {
			binary.LittleEndian.PutUint16(dst[head+2*i:], uint16(len(dst)-from))
		}
	}
	return dst
}

// appendStream writes one stream, which a decoder reads from its end (RFC 8878 4.2.2).
func (h *huffman) appendStream(dst, b []byte) []byte {
	w := newBitWriter(dst, len(b)*maxBits/8+8)
	for ; len(b)%5 != 0; b = b[:len(b)-1] {
		c := h.code[b[len(b)-1]]
		w.add(uint64(c&0xFFFF), uint8(c>>16))
	}
	w.flush()
	// Five codes of up to 11 bits fit on top of the 7 bits that flush leaves. This is the encoder's
	// innermost loop: the writer's fields are kept in variables.
	out, at, held, filled := w.out, w.at, w.held, uint(w.n)
	for ; len(b) >= 5; b = b[:len(b)-5] {
		q := (*[5]byte)(b[len(b)-5:])
		c0, c1, c2, c3, c4 := h.code[q[4]], h.code[q[3]], h.code[q[2]], h.code[q[1]], h.code[q[0]]
		n0 := uint(c0 >> 16)
		n1 := n0 + uint(c1>>16)
		n2 := n1 + uint(c2>>16)
		n3 := n2 + uint(c3>>16)
		v := uint64(c0&0xFFFF) | uint64(c1&0xFFFF)<<(n0&63) | uint64(c2&0xFFFF)<<(n1&63) | uint64(c3&0xFFFF)<<(n2&63) | uint64(c4&0xFFFF)<<(n3&63)
		held |= v << (filled & 63)
		filled += n3 + uint(c4>>16)
		binary.LittleEndian.PutUint64(out[at:], held)
		at += int(filled >> 3)
		held >>= filled & 56
		filled &= 7
	}
	w.at, w.held, w.n = at, held, uint8(filled)
	w.add(1, 1)
	return w.close()
}
