package program_test

import (
	"fmt"
	"math"

	"github.com/cspine/cspine/models/program"
)

// run computes a program slowly, by the definitions in package program's comments, so that what Compile made can be compared with what
// ONNX Runtime computes of the file.
func run(p *program.Program, inputs [][]float32) (outputs [][]float32, err error) {
	r := &runner{p, make([][]float32, len(p.Values))}
	for i, v := range p.Values {
		r.data[i] = v.Data
	}
	for i, v := range p.Inputs {
		r.data[v] = inputs[i]
	}
	for i := range p.Ops {
		if err := r.op(&p.Ops[i]); err != nil {
			return nil, err
		}
	}
	for _, v := range p.Outputs {
		outputs = append(outputs, r.data[v])
	}
	return outputs, nil
}

type runner struct {
	*program.Program
	data [][]float32
}

// tensor is a value with its data.
type tensor struct {
	shape []int
	data  []float32
}

func (r *runner) tensor(op *program.Op, i int) *tensor {
	if i >= len(op.In) || op.In[i] < 0 {
		return nil
	}
	return &tensor{r.Values[op.In[i]].Shape, r.data[op.In[i]]}
}

// at reads an element; outside of the shape there is nothing.
func (t *tensor) at(index ...int) (v float64, inside bool) {
	flat := 0
	for i, d := range t.shape {
		if index[i] < 0 || index[i] >= d {
			return 0, false
		}
		flat = flat*d + index[i]
	}
	return float64(t.data[flat]), true
}

// wide reads with numpy's broadcasting: index may be longer than the shape.
func (t *tensor) wide(index []int) float64 {
	at := make([]int, len(t.shape))
	for i, d := range t.shape {
		if d > 1 {
			at[i] = index[len(index)-len(t.shape)+i]
		}
	}
	v, _ := t.at(at...)
	return v
}

// each calls f with every index of a shape.
func each(shape []int, f func(index []int)) {
	index := make([]int, len(shape))
	n := 1
	for _, d := range shape {
		n *= d
	}
	for range n {
		f(index)
		for axis := len(shape) - 1; axis >= 0; axis-- {
			if index[axis]++; index[axis] < shape[axis] {
				break
			}
			index[axis] = 0
		}
	}
}

// fill makes the output by calling f for every index, in C order.
func fill(shape []int, f func(index []int) float64) []float32 {
	var out []float32
	each(shape, func(index []int) { out = append(out, float32(f(index))) })
	return out
}

func (r *runner) op(op *program.Op) error {
	x := r.tensor(op, 0)
	shape := r.Values[op.Out[0]].Shape
	set := func(f func(index []int) float64) { r.data[op.Out[0]] = fill(shape, f) }
	switch do := op.Do.(type) {
	case *program.Conv:
		w, b := r.tensor(op, 1), r.tensor(op, 2)
		set(func(o []int) float64 {
			sum, per := 0.0, shape[1]/do.Group
			if b != nil {
				sum, _ = b.at(o[1])
			}
			each(w.shape[1:], func(k []int) {
				in := []int{o[0], o[1]/per*w.shape[1] + k[0]}
				for s := range do.Strides {
					in = append(in, o[2+s]*do.Strides[s]-do.PadBegin[s]+k[1+s]*do.Dilations[s])
				}
				v, _ := x.at(in...)
				c, _ := w.at(append([]int{o[1]}, k...)...)
				sum += v * c
			})
			return sum
		})
	case *program.ConvTranspose:
		w, b := r.tensor(op, 1), r.tensor(op, 2)
		out := &tensor{shape, fill(shape, func(o []int) float64 {
			if b == nil {
				return 0
			}
			v, _ := b.at(o[1])
			return v
		})}
		per := x.shape[1] / do.Group
		each(x.shape, func(i []int) {
			v, _ := x.at(i...)
			each(w.shape[1:], func(k []int) {
				c, _ := w.at(append([]int{i[1]}, k...)...)
				o := []int{i[0], i[1]/per*w.shape[1] + k[0]}
				for s := range do.Strides {
					o = append(o, i[2+s]*do.Strides[s]-do.PadBegin[s]+k[1+s]*do.Dilations[s])
				}
				if _, inside := out.at(o...); inside {
					flat := 0
					for axis, d := range shape {
						flat = flat*d + o[axis]
					}
					out.data[flat] += float32(v * c)
				}
			})
		})
		r.data[op.Out[0]] = out.data
	case *program.BatchNorm:
		set(func(o []int) float64 {
			var c [5]float64
			for i := 1; i < 5; i++ {
				c[i], _ = r.tensor(op, i).at(o[1])
			}
			v, _ := x.at(o...)
			return (v-c[3])/math.Sqrt(c[4]+do.Epsilon)*c[1] + c[2]
		})
	case *program.LayerNorm:
		scale, bias := r.tensor(op, 1), r.tensor(op, 2)
		set(func(o []int) float64 {
			n, sum, squares := 0.0, 0.0, 0.0
			row := append([]int{}, o[:do.Axis]...)
			each(shape[do.Axis:], func(i []int) { v, _ := x.at(append(row[:do.Axis:do.Axis], i...)...); n++; sum += v })
			each(shape[do.Axis:], func(i []int) {
				v, _ := x.at(append(row[:do.Axis:do.Axis], i...)...)
				squares += (v - sum/n) * (v - sum/n)
			})
			v, _ := x.at(o...)
			v = (v - sum/n) / math.Sqrt(squares/n+do.Epsilon)
			s, _ := scale.at(o[do.Axis:]...)
			v *= s
			if bias != nil {
				b, _ := bias.at(o[do.Axis:]...)
				v += b
			}
			return v
		})
	case *program.Unary:
		set(func(o []int) float64 { v, _ := x.at(o...); return function(do, v) })
	case *program.Binary:
		y := r.tensor(op, 1)
		set(func(o []int) float64 {
			a, b := x.wide(o), y.wide(o)
			switch do.Func {
			case program.Add:
				return a + b
			case program.Sub:
				return a - b
			case program.Mul:
				return a * b
			case program.Div:
				return a / b
			}
			return math.Pow(a, b)
		})
	case *program.Pool:
		set(func(o []int) float64 {
			best, sum, count := math.Inf(-1), 0.0, 0.0
			each(do.Kernel, func(k []int) {
				in, padded := []int{o[0], o[1]}, true
				for s := range do.Kernel {
					at := o[2+s]*do.Strides[s] - do.PadBegin[s] + k[s]*do.Dilations[s]
					padded = padded && at < x.shape[2+s]+do.PadEnd[s]
					in = append(in, at)
				}
				v, inside := x.at(in...)
				if inside {
					best, sum = math.Max(best, v), sum+v
				}
				if inside || do.CountPad && padded {
					count++
				}
			})
			if do.Max {
				return best
			}
			return sum / count
		})
	case *program.Mean:
		gone := map[int]bool{}
		for _, a := range do.Axes {
			gone[a] = true
		}
		keep := len(shape) == len(x.shape)
		set(func(o []int) float64 {
			sum, n := 0.0, 0.0
			each(x.shape, func(i []int) {
				at := 0
				for axis := range x.shape {
					if !gone[axis] && i[axis] != o[at] {
						return
					}
					if !gone[axis] || keep {
						at++
					}
				}
				v, _ := x.at(i...)
				sum, n = sum+v, n+1
			})
			return sum / n
		})
	case *program.Resize:
		set(func(o []int) float64 { return resized(x, do, o, shape) })
	case *program.Concat:
		set(func(o []int) float64 {
			at := append([]int{}, o...)
			for i := range op.In {
				part := r.tensor(op, i)
				if at[do.Axis] < part.shape[do.Axis] {
					v, _ := part.at(at...)
					return v
				}
				at[do.Axis] -= part.shape[do.Axis]
			}
			return math.NaN()
		})
	case *program.Slice:
		set(func(o []int) float64 {
			var at []int
			for i := range o {
				at = append(at, do.Start[i]+o[i]*do.Step[i])
			}
			v, inside := x.at(at...)
			if !inside {
				return math.NaN()
			}
			return v
		})
	case *program.Pad:
		set(func(o []int) float64 {
			var at []int
			for i := range o {
				at = append(at, o[i]-do.Begin[i])
			}
			if v, inside := x.at(at...); inside {
				return v
			}
			return float64(do.Value)
		})
	case *program.MatMul:
		y, c := r.tensor(op, 1), r.tensor(op, 2)
		inner := x.shape[len(x.shape)-1]
		if do.TransA {
			inner = x.shape[len(x.shape)-2]
		}
		rank := len(shape)
		set(func(o []int) float64 {
			sum := 0.0
			a, b := append([]int{}, o...), append([]int{}, o...)
			for k := range inner {
				a[rank-2], a[rank-1], b[rank-2], b[rank-1] = o[rank-2], k, k, o[rank-1]
				if do.TransA {
					a[rank-2], a[rank-1] = k, o[rank-2]
				}
				if do.TransB {
					b[rank-2], b[rank-1] = o[rank-1], k
				}
				sum += x.wide(a) * y.wide(b)
			}
			sum *= float64(do.Alpha)
			if c != nil {
				sum += float64(do.Beta) * c.wide(o)
			}
			return sum
		})
	case *program.Reshape:
		r.data[op.Out[0]] = x.data
	case *program.Dropout:
		r.data[op.Out[0]] = x.data
	case *program.Transpose:
		set(func(o []int) float64 {
			at := make([]int, len(o))
			for i, axis := range do.Perm {
				at[axis] = o[i]
			}
			v, _ := x.at(at...)
			return v
		})
	case *program.Expand:
		set(x.wide)
	case *program.LSTM:
		r.data[op.Out[0]] = r.lstm(op, do, shape)
	case *program.Softmax:
		set(func(o []int) float64 {
			v, _ := x.at(o...)
			sum, at := 0.0, append([]int{}, o...)
			for at[do.Axis] = range shape[do.Axis] {
				e, _ := x.at(at...)
				sum += math.Exp(e - v)
			}
			return 1 / sum
		})
	default:
		return fmt.Errorf("unknown operation %T", op.Do)
	}
	return nil
}

func function(do *program.Unary, x float64) float64 {
	switch do.Func {
	case program.Relu:
		return math.Max(x, 0)
	case program.LeakyRelu:
		if x < 0 {
			return x * float64(do.Alpha)
		}
		return x
	case program.Sigmoid:
		return 1 / (1 + math.Exp(-x))
	case program.Silu:
		return x / (1 + math.Exp(-x))
	case program.Gelu:
		return x / 2 * (1 + math.Erf(x/math.Sqrt2))
	case program.GeluTanh:
		return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	case program.Erf:
		return math.Erf(x)
	case program.Tanh:
		return math.Tanh(x)
	case program.Exp:
		return math.Exp(x)
	case program.Log:
		return math.Log(x)
	case program.Sqrt:
		return math.Sqrt(x)
	case program.Neg:
		return -x
	}
	return math.NaN()
}

// resized interpolates by going through all corners around a point.
func resized(x *tensor, do *program.Resize, o, shape []int) float64 {
	axes := len(do.Scales)
	low, part := make([]int, axes), make([]float64, axes)
	for s, scale := range do.Scales {
		in, out := x.shape[2+s], shape[2+s]
		at := math.Floor(float64(o[2+s]) / scale)
		switch {
		case do.Linear && do.AlignCorners:
			at = 0
			if out > 1 {
				at = float64(o[2+s]) * float64(in-1) / float64(out-1)
			}
		case do.Linear:
			at = (float64(o[2+s])+0.5)/scale - 0.5
		}
		at = math.Min(math.Max(at, 0), float64(in-1))
		low[s] = int(at)
		part[s] = at - math.Floor(at)
	}
	sum := 0.0
	for corner := range 1 << axes {
		share, in := 1.0, []int{o[0], o[1]}
		for s := range axes {
			if corner>>s&1 == 1 {
				share *= part[s]
				in = append(in, low[s]+1)
			} else {
				share *= 1 - part[s]
				in = append(in, low[s])
			}
		}
		if share > 0 {
			v, _ := x.at(in...)
			sum += share * v
		}
	}
	return sum
}

func (r *runner) lstm(op *program.Op, do *program.LSTM, shape []int) []float32 {
	x, w, rec, bias := r.tensor(op, 0), r.tensor(op, 1), r.tensor(op, 2), r.tensor(op, 3)
	steps, directions, batch, hidden := shape[0], shape[1], shape[2], shape[3]
	out := make([]float32, steps*directions*batch*hidden)
	for d := range directions {
		for n := range batch {
			h, c := make([]float64, hidden), make([]float64, hidden)
			for s := range steps {
				t := s
				if do.Reverse || d == 1 {
					t = steps - 1 - s
				}
				gates := make([]float64, 4*hidden)
				for g := range gates {
					if bias != nil {
						a, _ := bias.at(d, g)
						b, _ := bias.at(d, 4*hidden+g)
						gates[g] = a + b
					}
					for k := range x.shape[2] {
						a, _ := x.at(t, n, k)
						b, _ := w.at(d, g, k)
						gates[g] += a * b
					}
					for k := range hidden {
						b, _ := rec.at(d, g, k)
						gates[g] += h[k] * b
					}
				}
				sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
				for k := range hidden {
					i, o, f, g := gates[k], gates[hidden+k], gates[2*hidden+k], gates[3*hidden+k]
					c[k] = sigmoid(f)*c[k] + sigmoid(i)*math.Tanh(g)
					h[k] = sigmoid(o) * math.Tanh(c[k])
					out[((t*directions+d)*batch+n)*hidden+k] = float32(h[k])
				}
			}
		}
	}
	return out
}
