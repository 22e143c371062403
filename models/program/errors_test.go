package program_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/models/program"
)

// file is a graph that a test writes by hand. Its output is y.
type file struct {
	opset        int64
	inputs       []onnx.Value
	nodes        []*onnx.Node
	initializers []*onnx.Tensor
	output       string
}

func newFile() *file { return &file{opset: 17, output: "y"} }

func (f *file) input(name string, shape ...int64) *file {
	f.inputs = append(f.inputs, onnx.Value{Name: name, Type: onnx.Float32, Shape: shape})
	return f
}

// node adds a node; in and out are separated by spaces, and - leaves one out.
func (f *file) node(op, in, out string, attributes ...onnx.Attribute) *file {
	n := &onnx.Node{Op: op, Name: "the_" + strings.ToLower(op), Attributes: attributes}
	for _, name := range strings.Fields(in) {
		n.Inputs = append(n.Inputs, strings.TrimPrefix(name, "-"))
	}
	n.Outputs = strings.Fields(out)
	f.nodes = append(f.nodes, n)
	return f
}

func (f *file) floats(name string, values []float32, shape ...int) *file {
	return f.from(name, values, nil, shape)
}

func (f *file) ints(name string, values ...int64) *file {
	return f.from(name, nil, append([]int64{}, values...), nil)
}

// from borrows the builder's way to make a tensor.
func (f *file) from(name string, floats []float32, ints []int64, shape []int) *file {
	f.initializers = append(f.initializers, constantTensor(name, floats, ints, shape))
	return f
}

// constantTensor writes a tensor's message and reads it.
func constantTensor(name string, floats []float32, ints []int64, shape []int) *onnx.Tensor {
	b := onnx.NewBuilder("constant")
	b.Input("x", onnx.Fixed(1))
	if ints != nil {
		b.Ints(name, ints...)
	} else {
		b.Floats(name, floats, shape...)
	}
	b.Output(b.Node("Add", "n", []string{"x", name}), nil)
	raw, err := b.Bytes()
	if err != nil {
		panic(err)
	}
	m, err := onnx.Parse(raw)
	if err != nil {
		panic(err)
	}
	return m.Graph.Initializers[0]
}

func (f *file) model() *onnx.Model {
	return &onnx.Model{Opsets: map[string]int64{"": f.opset}, Graph: onnx.Graph{
		Nodes: f.nodes, Initializers: f.initializers, Inputs: f.inputs, Outputs: []onnx.Value{{Name: f.output, Type: onnx.Float32}}}}
}

func ints(name string, values ...int64) onnx.Attribute { return onnx.IntsAttribute(name, values...) }

func text(name, value string) onnx.Attribute {
	return onnx.Attribute{Name: name, Kind: onnx.StringKind, String: value}
}

// weight is a file with an input of a shape and a weight of another.
func weight(x []int64, w ...int) *file {
	n := 1
	for _, d := range w {
		n *= d
	}
	return newFile().input("x", x...).floats("w", make([]float32, n), w...)
}

var image = []int64{1, 4, 6, 6}

// Each of these must be refused with the name of the node at fault and words that say why.
func TestWhatDoesNotFitIsRefusedByName(t *testing.T) {
	for name, c := range map[string]struct {
		file *file
		node string // of the error; empty where the graph is at fault
		says string
	}{
		"unknown operator":          {newFile().input("x", 2).node("NonMaxSuppression", "x", "y"), "the_nonmaxsuppression", "not served"},
		"loop":                      {newFile().input("x", 2).node("Loop", "x", "y"), "the_loop", "not served"},
		"unknown attribute":         {newFile().input("x", 2).node("Relu", "x", "y", ints("surprise", 1)), "the_relu", "surprise"},
		"attribute of another kind": {newFile().input("x", 2).node("LeakyRelu", "x", "y", text("alpha", "x")), "the_leakyrelu", "kind"},
		"too few inputs":            {newFile().input("x", image...).node("Conv", "x", "y"), "the_conv", "1 inputs"},
		"too many inputs":           {newFile().input("x", 2).node("Relu", "x x", "y"), "the_relu", "2 inputs"},
		"a needed input left out":   {newFile().input("x", 2).node("Add", "x -", "y"), "the_add", "left out"},
		"too many outputs":          {newFile().input("x", 2).node("Relu", "x", "y z"), "the_relu", "2 outputs"},
		"operator set too old":      {&file{opset: 6, inputs: []onnx.Value{{Name: "x", Type: onnx.Float32, Shape: []int64{2}}}, output: "x"}, "", "operator set 6"},
		"operator set too new":      {&file{opset: 99, inputs: []onnx.Value{{Name: "x", Type: onnx.Float32, Shape: []int64{2}}}, output: "x"}, "", "operator set 99"},

		"open input":           {newFile().input("x", -1, 3).node("Relu", "x", "y"), "", "open shape"},
		"empty input":          {newFile().input("x", 0, 3).node("Relu", "x", "y"), "", "length 0"},
		"huge input":           {newFile().input("x", 1<<20, 1<<20).node("Relu", "x", "y"), "", "more than"},
		"absurd input":         {newFile().input("x", 1<<62, 1<<62).node("Relu", "x", "y"), "", "more than"},
		"deep input":           {newFile().input("x", 1, 1, 1, 1, 1, 1, 1, 1, 1).node("Relu", "x", "y"), "", "rank"},
		"nothing gives it":     {newFile().input("x", 2).node("Add", "x nobody", "y"), "", "nothing gives"},
		"no such output":       {newFile().input("x", 2).node("Relu", "x", "z"), "", "nothing gives"},
		"a name twice":         {newFile().input("x", 2).node("Relu", "x", "y").node("Neg", "x", "y"), "", "twice"},
		"an input's name":      {newFile().input("x", 2).input("y", 2).node("Relu", "x", "y"), "", "twice"},
		"a constant's name":    {newFile().input("x", 2).floats("y", []float32{1}).node("Relu", "x", "y"), "", "twice"},
		"a circle":             {newFile().input("x", 2).node("Add", "x z", "y").node("Relu", "y", "z"), "", "cycle"},
		"itself":               {newFile().input("x", 2).node("Add", "x y", "y"), "", "cycle"},
		"an output of numbers": {newFile().input("x", 2).node("Shape", "x", "y"), "", "whole numbers"},
		"no output":            {func() *file { f := newFile().input("x", 2); f.output = ""; return f }(), "", "nothing gives"},

		"convolution of a vector":       {weight([]int64{4}, 2, 4, 3, 3).node("Conv", "x w", "y"), "the_conv", "spatial axes"},
		"convolution of other rank":     {weight([]int64{1, 4, 6, 6, 6}, 2, 4, 3, 3).node("Conv", "x w", "y"), "the_conv", "ranks differ"},
		"convolution of other channels": {weight(image, 2, 3, 3, 3).node("Conv", "x w", "y"), "the_conv", "channels"},
		"groups that do not divide":     {weight(image, 2, 1, 3, 3).node("Conv", "x w", "y", onnx.IntAttribute("group", 3)), "the_conv", "channels"},
		"no groups":                     {weight(image, 2, 4, 3, 3).node("Conv", "x w", "y", onnx.IntAttribute("group", 0)), "the_conv", "channels"},
		"kernel over the edge":          {weight(image, 2, 4, 7, 7).node("Conv", "x w", "y"), "the_conv", "kernel reaches"},
		"kernel shape of another":       {weight(image, 2, 4, 3, 3).node("Conv", "x w", "y", ints("kernel_shape", 2, 2)), "the_conv", "kernel_shape"},
		"stride zero":                   {weight(image, 2, 4, 3, 3).node("Conv", "x w", "y", ints("strides", 0, 1)), "the_conv", "strides"},
		"strides of a volume":           {weight(image, 2, 4, 3, 3).node("Conv", "x w", "y", ints("strides", 1, 1, 1)), "the_conv", "strides"},
		"negative padding":              {weight(image, 2, 4, 3, 3).node("Conv", "x w", "y", ints("pads", 0, -1, 0, 0)), "the_conv", "pads"},
		"padding beyond int32":          {weight(image, 2, 4, 3, 3).node("Conv", "x w", "y", ints("pads", 0, 1<<40, 0, 0)), "the_conv", "pads"},
		"padding beyond memory":         {weight(image, 2, 4, 3, 3).node("Conv", "x w", "y", ints("pads", 1<<20, 1<<20, 1<<20, 1<<20)), "the_conv", "more than"},
		"auto_pad unknown":              {weight(image, 2, 4, 3, 3).node("Conv", "x w", "y", text("auto_pad", "SAME")), "the_conv", "auto_pad"},
		"bias of another length":        {weight(image, 2, 4, 3, 3).floats("b", make([]float32, 3), 3).node("Conv", "x w b", "y"), "the_conv", "bias"},
		"transposed padding too large":  {weight(image, 4, 2, 2, 2).node("ConvTranspose", "x w", "y", ints("pads", 9, 0, 9, 0)), "the_convtranspose", "leaves nothing"},
		"transposed other channels":     {weight(image, 3, 2, 2, 2).node("ConvTranspose", "x w", "y"), "the_convtranspose", "channels"},
		"output padding too large":      {weight(image, 4, 2, 2, 2).node("ConvTranspose", "x w", "y", ints("output_padding", 1, 1)), "the_convtranspose", "output_padding"},
		"pool without a kernel":         {newFile().input("x", image...).node("MaxPool", "x", "y"), "the_maxpool", "kernel_shape"},
		"pool of padding only":          {newFile().input("x", image...).node("MaxPool", "x", "y", ints("kernel_shape", 2, 2), ints("pads", 2, 0, 0, 0)), "the_maxpool", "padding"},
		"indices of a pool":             {newFile().input("x", image...).node("MaxPool", "x", "m y", ints("kernel_shape", 2, 2)), "the_maxpool", "not served"},
		"norm of other channels":        {weight(image, 3).node("BatchNormalization", "x w w w w", "y"), "the_batchnormalization", "scale"},
		"layer norm of another length":  {weight(image, 5).node("LayerNormalization", "x w", "y"), "the_layernormalization", "normalised axes"},

		"shapes that do not broadcast": {weight(image, 5).node("Add", "x w", "y"), "the_add", "don't fit"},
		"numbers of two kinds":         {newFile().input("x", 2).ints("i", 1, 2).node("Add", "x i", "y"), "the_add", "whole numbers"},
		"an exponent of many":          {weight([]int64{2}, 2).node("Pow", "x w", "y"), "the_pow", "exponent"},
		"products that do not fit":     {weight([]int64{2, 3}, 4, 5).node("MatMul", "x w", "y"), "the_matmul", "matrices"},
		"gemm of a volume":             {weight([]int64{2, 3, 4}, 4, 5).node("Gemm", "x w", "y"), "the_gemm", "matrices"},
		"gemm that does not fit":       {weight([]int64{2, 3}, 4, 5).node("Gemm", "x w", "y"), "the_gemm", "must be equal"},
		"clip far away":                {newFile().input("x", 2).floats("l", []float32{-1e6}).node("Clip", "x l", "y"), "the_clip", "bound"},

		"concat of other lengths":    {weight(image, 1, 4, 6, 5).node("Concat", "x w", "y", onnx.IntAttribute("axis", 1)), "the_concat", "differ"},
		"axis beyond the rank":       {newFile().input("x", image...).node("Concat", "x x", "y", onnx.IntAttribute("axis", 4)), "the_concat", "axis 4"},
		"reshape to other length":    {newFile().input("x", 2, 3).ints("s", 4, 2).node("Reshape", "x s", "y"), "the_reshape", "elements"},
		"reshape with two open":      {newFile().input("x", 2, 3).ints("s", -1, -1).node("Reshape", "x s", "y"), "the_reshape", "the shape is"},
		"reshape beyond int64":       {newFile().input("x", 2, 3).ints("s", 1<<31, 1<<31, 1<<31, -1).node("Reshape", "x s", "y"), "the_reshape", "the shape is"},
		"reshape by an input":        {newFile().input("x", 2, 3).input("s", 2).node("Reshape", "x s", "y"), "the_reshape", "depend"},
		"squeeze of a long axis":     {newFile().input("x", 2, 3).ints("a", 0).node("Squeeze", "x a", "y"), "the_squeeze", "not of length 1"},
		"unsqueeze of an axis twice": {newFile().input("x", 2, 3).ints("a", 0, -4).node("Unsqueeze", "x a", "y"), "the_unsqueeze", "twice"},
		"transpose of other rank":    {newFile().input("x", 2, 3).node("Transpose", "x", "y", ints("perm", 0, 1, 2)), "the_transpose", "perm"},
		"transpose of an axis twice": {newFile().input("x", 2, 3).node("Transpose", "x", "y", ints("perm", 0, 0)), "the_transpose", "twice"},
		"expand beyond memory":       {newFile().input("x", 1, 1).ints("s", 1<<20, 1<<20).node("Expand", "x s", "y"), "the_expand", "more than"},
		"expand to another length":   {newFile().input("x", 2, 3).ints("s", 2, 4).node("Expand", "x s", "y"), "the_expand", "expand"},
		"tile beyond memory":         {newFile().input("x", 2, 3).ints("r", 1<<30, 1<<30).node("Tile", "x r", "y"), "the_tile", "more than"},
		"tile to nothing":            {newFile().input("x", 2, 3).ints("r", 0, 1).node("Tile", "x r", "y"), "the_tile", "repeats"},
		"slice of nothing":           {newFile().input("x", 4).ints("a", 2).ints("b", 2).node("Slice", "x a b", "y"), "the_slice", "length 0"},
		"slice by steps of zero":     {newFile().input("x", 4).ints("a", 0).ints("b", 2).ints("o", 0).node("Slice", "x a b o o", "y"), "the_slice", "step"},
		"gather beyond the end":      {newFile().input("x", 4).ints("i", 4).node("Gather", "x i", "y"), "the_gather", "index 4"},
		"gather in disorder":         {newFile().input("x", 4).ints("i", 0, 1, 3).node("Gather", "x i", "y"), "the_gather", "evenly"},
		"split into other parts":     {newFile().input("x", 4).ints("s", 1, 2).node("Split", "x s", "y z"), "the_split", "used up"},
		"split beyond the end":       {newFile().input("x", 4).ints("s", 1, 9).node("Split", "x s", "y z"), "the_split", "split by"},
		"pad beyond memory":          {newFile().input("x", 4, 4).ints("p", 1<<30, 1<<30, 0, 0).node("Pad", "x p", "y"), "the_pad", "more than"},
		"pad that cuts all":          {newFile().input("x", 4).ints("p", -2, -2).node("Pad", "x p", "y"), "the_pad", "length 0"},
		"pad that wraps":             {newFile().input("x", 4).ints("p", 1, 1).node("Pad", "x p", "y", text("mode", "wrap")), "the_pad", "wrap"},
		"cubic":                      {newFile().input("x", image...).floats("s", []float32{1, 1, 2, 2}, 4).node("Resize", "x - s", "y", text("mode", "cubic")), "the_resize", "cubic"},
		"one and a half, nearest":    {newFile().input("x", image...).floats("s", []float32{1, 1, 1.5, 1.5}, 4).node("Resize", "x - s", "y"), "the_resize", "equally often"},
		"resize of channels":         {newFile().input("x", image...).floats("s", []float32{1, 2, 1, 1}, 4).node("Resize", "x - s", "y"), "the_resize", "axis 1"},
		"resize to nothing":          {newFile().input("x", image...).floats("s", []float32{1, 1, .1, .1}, 4).node("Resize", "x - s", "y"), "the_resize", "scale"},
		"resize beyond memory":       {newFile().input("x", image...).floats("s", []float32{1, 1, 1e9, 1e9}, 4).node("Resize", "x - s", "y"), "the_resize", "scale"},
		"resize by no number":        {newFile().input("x", image...).node("Resize", "x - -", "y"), "the_resize", "scales"},
		"cast of an input":           {newFile().input("x", 2).node("Cast", "x", "i", onnx.IntAttribute("to", 7)).node("Cast", "i", "y", onnx.IntAttribute("to", 1)), "the_cast", "not known"},
		"division by zero":           {newFile().input("x", 2).ints("z", 0).ints("o", 1).node("Div", "o z", "s").node("Expand", "x s", "y"), "the_div", "zero"},
		"constant beyond memory":     {newFile().input("x", 2).ints("s", 1<<20, 1<<20).node("ConstantOfShape", "s", "c").node("Add", "x c", "y"), "the_constantofshape", "more than"},
		"range beyond memory":        {newFile().input("x", 2).ints("a", 0).ints("b", 1<<60).ints("c", 1).node("Range", "a b c", "s").node("Reshape", "x s", "y"), "the_range", "counts"},
		"range that is long":         {newFile().input("x", 2).ints("a", 0).ints("b", 1<<28).ints("c", 1).node("Range", "a b c", "s").node("Reshape", "x s", "y"), "the_range", "too large"},
		"range without an end":       {newFile().input("x", 2).ints("a", 0).ints("b", 1).ints("c", 0).node("Range", "a b c", "s").node("Reshape", "x s", "y"), "the_range", "counts"},
		"softmax of a number":        {newFile().input("x").node("Softmax", "x", "y"), "the_softmax", "scalar"},
		"lstm of a matrix":           {weight([]int64{2, 3}, 1, 8, 3).floats("r", make([]float32, 16), 1, 8, 2).node("LSTM", "x w r", "y", onnx.IntAttribute("hidden_size", 2)), "the_lstm", "time"},
		"lstm of other hidden size":  {weight([]int64{4, 2, 3}, 1, 8, 3).floats("r", make([]float32, 16), 1, 8, 2).node("LSTM", "x w r", "y", onnx.IntAttribute("hidden_size", 3)), "the_lstm", "weight"},
		"lstm with a state":          {weight([]int64{4, 2, 3}, 1, 8, 3).floats("r", make([]float32, 16), 1, 8, 2).floats("h", []float32{0, 0, 0, 1}, 1, 2, 2).node("LSTM", "x w r - - h", "y", onnx.IntAttribute("hidden_size", 2)), "the_lstm", "zero"},
		"lstm's last cell":           {weight([]int64{4, 2, 3}, 1, 8, 3).floats("r", make([]float32, 16), 1, 8, 2).node("LSTM", "x w r", "a b y", onnx.IntAttribute("hidden_size", 2)), "the_lstm", "not served"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, training := range []bool{false, true} {
				p, err := program.Compile(c.file.model(), &program.Options{Training: training})
				var refused *program.Error
				if !errors.As(err, &refused) || p != nil {
					t.Fatalf("the error is %v, the program\n%v", err, p)
				}
				if refused.Node != c.node || !strings.Contains(err.Error(), c.says) {
					t.Errorf("refused by node %q: %v; want node %q and %q", refused.Node, err, c.node, c.says)
				}
			}
		})
	}
}

func TestAskedShapesMustBeWholeAndFit(t *testing.T) {
	f := weight(image, 2, 4, 3, 3).node("Conv", "x w", "y")
	for name, c := range map[string]struct {
		shapes [][]int
		code   string
	}{
		"another batch and size":  {[][]int{{3, 4, 9, 8}}, ""},
		"none":                    {[][]int{}, models.CodePorts},
		"two":                     {[][]int{{1, 4, 6, 6}, {1}}, models.CodePorts},
		"a length of zero":        {[][]int{{0, 4, 6, 6}}, models.CodePorts},
		"a negative length":       {[][]int{{1, 4, -6, -6}}, models.CodePorts},
		"too much":                {[][]int{{1 << 20, 4, 1 << 20, 6}}, models.CodePorts},
		"beyond int":              {[][]int{{1 << 62, 4, 1 << 62, 6}}, models.CodePorts},
		"other channels":          {[][]int{{1, 3, 6, 6}}, models.CodeUnsupported},
		"another rank":            {[][]int{{1, 4, 6, 6, 6}}, models.CodeUnsupported},
		"smaller than the kernel": {[][]int{{1, 4, 2, 6}}, models.CodeUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := program.Compile(f.model(), &program.Options{InputShapes: c.shapes})
			if c.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("accepted")
			}
			if got := models.ProgramError(err); got.Code != c.code || !errors.Is(got, err) {
				t.Errorf("code %s, want %s: %v", got.Code, c.code, got)
			}
		})
	}
}

func TestMemoryIsBounded(t *testing.T) {
	f := newFile().input("x", 1<<20).node("Relu", "x", "y")
	if _, err := program.Compile(f.model(), &program.Options{MaxBytes: 8 << 20}); err != nil {
		t.Error(err)
	}
	if _, err := program.Compile(f.model(), &program.Options{MaxBytes: 8<<20 - 1}); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("two values of 4 MiB in less than 8 MiB: %v", err)
	}
	// Each of these alone is allowed.
	f = newFile().input("x", 1<<30)
	last := "x"
	for i := range 20 {
		next := fmt.Sprint("v", i)
		f.node("Relu", last, next)
		last = next
	}
	f.output = last
	if _, err := program.Compile(f.model(), nil); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("84 GB: %v", err)
	}
}

// What needs no time in proportion to more than the file must not take it: these would take hours if a step looked at all others, or memory
// without end.
func TestHostileGraphsAreDoneQuickly(t *testing.T) {
	const many = 1 << 14
	chain := func(op string, in string) *file {
		f := newFile().input("x", 2)
		last := "x"
		for i := range many {
			next := fmt.Sprint("v", i)
			f.node(op, strings.ReplaceAll(in, "_", last), next)
			last = next
		}
		f.output = last
		return f
	}
	backwards := chain("Relu", "_")
	slices.Reverse(backwards.nodes)
	wide := newFile().input("x", 2)
	in := strings.Repeat("x ", many)
	wide.node("Concat", in, "a", onnx.IntAttribute("axis", 0)).node("Sum", in, "b").node("Reshape", "a s", "c").node("Add", "c b", "y").ints("s", -1, 2)
	doubling := newFile().input("x", 1).ints("v", 1)
	for i := range 60 {
		doubling.node("Concat", "v v", fmt.Sprint("v", i), onnx.IntAttribute("axis", 0))
		doubling.nodes[i].Inputs = []string{fmt.Sprint("v", i-1), fmt.Sprint("v", i-1)}
	}
	doubling.nodes[0].Inputs = []string{"v", "v"}
	doubling.node("Reshape", "x v59", "y")
	filled := newFile().input("x", 1).ints("s", 1<<15)
	last := "x"
	for i := range many {
		c, next := fmt.Sprint("c", i), fmt.Sprint("v", i)
		filled.node("ConstantOfShape", "s", c).node("Add", last+" "+c, next)
		last = next
	}
	filled.output = last
	for name, f := range map[string]*file{"a long chain": chain("Relu", "_"), "a chain that doubles its paths": chain("Add", "_ _"), "written backwards": backwards,
		"very wide": wide, "doubling constants": doubling, "many constants": filled} {
		t.Run(name, func(t *testing.T) {
			done := make(chan error, 1)
			go func() {
				_, err := program.Compile(f.model(), &program.Options{MaxBytes: 1 << 40})
				done <- err
			}()
			select {
			case err := <-done:
				if want := name == "doubling constants"; (err != nil) != want {
					t.Errorf("the error is %v", err)
				}
			case <-time.After(2 * time.Minute):
				t.Fatal("it takes more than two minutes")
			}
		})
	}
}

func TestMessagesStayShort(t *testing.T) {
	long := strings.Repeat("n", 1<<16)
	f := newFile().input("x", 2)
	f.node("Relu", "x "+long, "y")
	f.initializers = append(f.initializers, constantTensor(long, []float32{1}, nil, nil))
	f.nodes[0].Name = long
	_, err := program.Compile(f.model(), nil)
	if err == nil || len(err.Error()) > 1000 {
		t.Errorf("%d bytes", len(fmt.Sprint(err)))
	}
	if _, err := program.Compile(nil, nil); err == nil {
		t.Error("no model was compiled")
	}
}

func FuzzCompile(f *testing.F) {
	names, all := cases(f)
	for i, name := range names {
		if i%9 == 0 && len(all[name].model) < 1<<13 {
			f.Add(all[name].model, uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		m, err := onnx.Parse(bytes.Clone(b))
		if err != nil {
			return
		}
		opts := &program.Options{Training: size%2 == 1, MaxBytes: 1 << 30}
		if size > 127 { // other shapes than the file's
			for _, in := range m.Graph.Inputs {
				opts.InputShapes = append(opts.InputShapes, slices.Repeat([]int{int(size%7) + 1}, min(len(in.Shape), 9)))
			}
		}
		p, err := program.Compile(m, opts)
		var refused *program.Error
		switch {
		case err == nil:
			checkForm(t, p)
			_ = p.String()
		case !errors.As(err, &refused):
			t.Fatalf("not an *Error: %v", err)
		case strings.Contains(err.Error(), "can't be compiled"):
			t.Fatalf("a rule panicked: %v", err)
		}
	})
}

// FuzzCompileGraphs makes graphs of known operators at random, which gets further into the rules than random bytes do.
func FuzzCompileGraphs(f *testing.F) {
	names, all := cases(f)
	operators, attributes := map[string]bool{}, map[string]onnx.Attribute{}
	for _, name := range names {
		m, err := onnx.Parse(all[name].model)
		if err != nil {
			f.Fatal(err)
		}
		for _, n := range m.Graph.Nodes {
			operators[n.Op] = true
			for _, a := range n.Attributes {
				attributes[a.Name] = a
			}
		}
	}
	ops, attrs := slices.Sorted(maps.Keys(operators)), slices.Sorted(maps.Keys(attributes))
	var tensors []*onnx.Tensor
	for i, shape := range [][]int{{}, {1}, {2}, {4}, {2, 2}, {4, 2, 3}, {1, 8, 2}, {2, 4, 2, 2}, {2, 1, 3, 1, 2}} {
		n := 1
		for _, d := range shape {
			n *= d
		}
		tensors = append(tensors, constantTensor(fmt.Sprint("c", i), slices.Repeat([]float32{float32(i % 3)}, n), nil, shape))
	}
	for i, list := range [][]int64{{}, {0}, {1}, {2}, {-1}, {0, 1}, {1, -1}, {1, 2, 3, 4}, {0, 0, 1, 1}, {1 << 40}, {-1 << 62, 1 << 62}} {
		tensors = append(tensors, constantTensor(fmt.Sprint("i", i), nil, append([]int64{}, list...), nil))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		b := make([]byte, 300)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		next := func(n int) int {
			if len(b) == 0 {
				return 0
			}
			v := int(b[0])
			b = b[1:]
			return v % n
		}
		g := &file{opset: []int64{9, 11, 13, 17, 18, 21}[next(6)], initializers: tensors}
		var values []string
		for _, c := range tensors {
			values = append(values, c.Name)
		}
		for i, shape := range [][]int64{{1, 4, 5, 6}, {2, 3}, {2, 4, 3, 2, 2}, {3, 2, 4}} {
			g.input(fmt.Sprint("x", i), shape...)
			values = append(values, fmt.Sprint("x", i), fmt.Sprint("x", i))
		}
		for i := 0; len(b) > 0 && i < 30; i++ {
			n := &onnx.Node{Op: ops[next(len(ops))], Outputs: []string{fmt.Sprint("v", i)}}
			for range next(5) + 1 {
				n.Inputs = append(n.Inputs, values[len(values)-1-next(len(values))])
			}
			if next(8) == 0 {
				n.Inputs[len(n.Inputs)-1] = ""
			}
			if next(4) == 0 {
				n.Outputs = append(n.Outputs, fmt.Sprint("w", i))
			}
			for range next(4) {
				a := attributes[attrs[next(len(attrs))]]
				small := func() int64 { return []int64{0, 1, 2, 3, 4, -1, -2, 1 << 31, math.MaxInt64, math.MinInt64}[next(10)] }
				switch a.Kind {
				case onnx.IntKind:
					a.Int = small()
				case onnx.IntsKind:
					a.Ints = nil
					for range next(7) {
						a.Ints = append(a.Ints, small())
					}
				case onnx.FloatKind:
					a.Float = []float32{0, 1, -1, .5, float32(math.NaN()), float32(math.Inf(1))}[next(6)]
				}
				n.Attributes = append(n.Attributes, a)
			}
			g.nodes, g.output = append(g.nodes, n), n.Outputs[0]
			// A node that is refused is left out, so that those after it have a chance.
			p, err := program.Compile(g.model(), &program.Options{MaxBytes: 1 << 30, Training: next(2) == 1})
			if err != nil {
				if strings.Contains(err.Error(), "can't be compiled") {
					t.Fatalf("a rule panicked: %v", err)
				}
				g.nodes = g.nodes[:len(g.nodes)-1]
				continue
			}
			checkForm(t, p)
			_ = p.String()
			values = append(values, n.Outputs[0], n.Outputs[0])
		}
	})
}
