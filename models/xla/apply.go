package xla

import (
	"fmt"

	"github.com/cspine/cspine/models/program"
)

// apply puts one operation into the graph.
func (b *build) apply(op *program.Op, in []tensor) (tensor, backward) {
	shape := b.p.Values[op.Out[0]].Shape
	switch do := op.Do.(type) {
	case *program.Conv:
		return b.conv(do, in, shape)
	case *program.ConvTranspose:
		return b.convTranspose(do, in, shape)
	case *program.BatchNorm:
		return b.batchNorm(do, in, op.In)
	case *program.LayerNorm:
		return b.layerNorm(do, in)
	case *program.Unary:
		return b.unary(do, in[0], b.isOutput(op.Out[0]))
	case *program.Binary:
		exponent := 0.0
		if do.Func == program.Pow {
			e := &b.p.Values[op.In[1]]
			if len(e.Data) != 1 || e.Role != program.Constant {
				panic(fmt.Errorf("the exponent is no scalar constant"))
			}
			exponent = float64(e.Data[0])
		}
		return b.binary(do, in, exponent)
	case *program.Pool:
		return b.pool(do, in[0], shape)
	case *program.Mean:
		return b.average(do, in[0], shape)
	case *program.Resize:
		return b.resize(do, in[0], shape)
	case *program.Concat:
		return b.concat(do, in)
	case *program.Slice:
		return b.slice(do, in[0], shape)
	case *program.Pad:
		return b.padding(do, in[0])
	case *program.MatMul:
		return b.matMul(do, in, shape)
	case *program.Reshape:
		return b.reshape(in[0], shape)
	case *program.Transpose:
		return b.transpose(do, in[0])
	case *program.Expand:
		return b.expand(in[0], shape)
	case *program.LSTM:
		return b.lstm(do, in)
	case *program.Softmax:
		return b.softmax(do, in)
	case *program.Dropout:
		return b.dropout(do, in)
	}
	panic(fmt.Errorf("the engine lacks %T", op.Do))
}

func (b *build) isOutput(v int) bool {
	for _, o := range b.p.Outputs {
		if o == v {
			return true
		}
	}
	return false
}
