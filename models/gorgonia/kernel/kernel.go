// Package kernel has the float32 convolutions, matrix products and vector loops on which the pure-Go engine stands. The hot
// loops are assembly for AVX-512 and for AVX2 with FMA, chosen when the program starts, with portable Go for every other machine.
//
// Invariants:
//   - The same call on the same machine must give the same bits: from run to run and with any number of workers. Levels
//     (AVX-512, AVX2, portable) may differ in the last bits, since they add in another order.
//   - No kernel may read or write outside the slices it is given or scratch of its own.
//   - Scratch must be bounded, and all convolutions of one Workers share it.
//   - NaN and infinity must come out wherever the plain sums would have them.
//
// Tensors are dense, in C order: [Batch, Channels, D, H, W].
package kernel
