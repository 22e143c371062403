package jpegll

// encodeTable is a Huffman table in the form the writer needs.
type encodeTable struct {
	perLength [16]byte // codes of length i+1
	symbols   []byte   // categories in order of their codes
	codes     [32]encodeCode
}

// encodeCode is one category's code, already shifted left by the number of its extra bits.
type encodeCode struct {
	bits   uint32
	mask   uint32 // of the extra bits
	length uint8  // code and extra bits together, 1 to 31
}

// bestTable builds the table of least total length whose codes have at most 16 bits and of which none is
// all ones (T.81, K.2, figures K.1 to K.3).
func bestTable(counts *[categories]uint32) *encodeTable {
	perLength := limitLengths(codeLengths(counts))
	t := &encodeTable{perLength: perLength}

	// Shorter codes to the more frequent categories; ties by category, so that the table is a function
	// of the counts.
	order := make([]byte, 0, categories)
	for s := range counts {
		if counts[s] == 0 {
			continue
		}
		at := len(order)
		order = append(order, byte(s))
		for at > 0 && counts[order[at-1]] < counts[s] {
			order[at] = order[at-1]
			at--
		}
		order[at] = byte(s)
	}
	t.symbols = order

	code, k := uint32(0), 0
	for length := 1; length <= 16; length++ {
		for range perLength[length-1] {
			s := uint(order[k])
			extra := s
			if s == 16 {
				extra = 0 // the one value 32768 needs none (table H.2)
			}
			t.codes[s] = encodeCode{bits: code << extra, mask: 1<<extra - 1, length: uint8(length) + uint8(extra)}
			code++
			k++
		}
		code <<= 1
	}
	return t
}

// codeLengths returns how many categories get a code of each length (index = length) by Huffman's
// algorithm, with one reserved symbol of the least weight that takes the code of all ones. 18 symbols
// never need more than 17 bits.
func codeLengths(counts *[categories]uint32) (lengths [18]int) {
	const reserved = categories
	var weight [categories + 1]uint64
	var size [categories + 1]int
	var next [categories + 1]int // chains the symbols of one tree
	for i := range weight {
		next[i] = -1
		if i < categories {
			weight[i] = uint64(counts[i])
		}
	}
	// The reserved symbol weighs less than any other: the real weights count double.
	for i := range counts {
		weight[i] *= 2
	}
	weight[reserved] = 1

	for {
		a, b := -1, -1 // the two lightest trees; of equals the later, as K.1 says
		for i, w := range weight {
			if w == 0 {
				continue
			}
			switch {
			case a < 0 || w <= weight[a]:
				a, b = i, a
			case b < 0 || w <= weight[b]:
				b = i
			}
		}
		if b < 0 {
			break
		}
		weight[b] += weight[a]
		weight[a] = 0
		size[b]++
		last := b
		for next[last] >= 0 {
			last = next[last]
			size[last]++
		}
		next[last] = a
		for i := a; i >= 0; i = next[i] {
			size[i]++
		}
	}
	for _, n := range size {
		if n > 0 {
			lengths[n]++
		}
	}
	return lengths
}

// limitLengths shortens codes longer than 16 bits (figure K.3) and takes the reserved code away again.
func limitLengths(lengths [18]int) (perLength [16]byte) {
	for i := 17; i > 16; i-- {
		for lengths[i] > 0 {
			j := i - 2
			for lengths[j] == 0 {
				j--
			}
			lengths[i] -= 2
			lengths[i-1]++
			lengths[j+1] += 2
			lengths[j]--
		}
	}
	longest := 16
	for lengths[longest] == 0 {
		longest--
	}
	lengths[longest]--
	for i := range perLength {
		perLength[i] = byte(lengths[i+1])
	}
	return perLength
}
