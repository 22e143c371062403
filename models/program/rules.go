package program

import "math"

// rule says how a node of one ONNX operator becomes operations.
type rule struct {
	minIn, maxIn, maxOut int
	do                   func(*node)
}

const anyNumber = 1 << 20

// rules has every operator that is served.
var rules map[string]rule

func init() {
	rules = map[string]rule{
		"Conv":                  {2, 3, 1, conv},
		"ConvTranspose":         {2, 3, 1, convTranspose},
		"MaxPool":               {1, 1, 2, pool(true)},
		"AveragePool":           {1, 1, 1, pool(false)},
		"GlobalMaxPool":         {1, 1, 1, globalMaxPool},
		"GlobalAveragePool":     {1, 1, 1, globalAveragePool},
		"ReduceMean":            {1, 2, 1, reduceMean},
		"ReduceMax":             {1, 2, 1, reduceMax},
		"ReduceSum":             {1, 2, 1, reduceSum},
		"ReduceL2":              {1, 2, 1, reduceL2},
		"ReduceSumSquare":       {1, 2, 1, reduceSumSquare},
		"BatchNormalization":    {5, 5, 5, batchNorm},
		"InstanceNormalization": {3, 3, 1, instanceNorm},
		"GroupNormalization":    {3, 3, 1, groupNorm},
		"LayerNormalization":    {2, 3, 3, layerNorm},
		"Dropout":               {1, 3, 2, dropout},
		"LSTM":                  {3, 8, 3, lstm},
		"Softmax":               {1, 1, 1, softmax},
		"Resize":                {1, 4, 1, resize},
		"Upsample":              {1, 2, 1, resize},

		"Relu":        {1, 1, 1, unary(Relu)},
		"LeakyRelu":   {1, 1, 1, leakyRelu},
		"PRelu":       {2, 2, 1, prelu},
		"Elu":         {1, 1, 1, elu},
		"Sigmoid":     {1, 1, 1, unary(Sigmoid)},
		"HardSigmoid": {1, 1, 1, hardSigmoid},
		"HardSwish":   {1, 1, 1, hardSwish},
		"Clip":        {1, 3, 1, clip},
		"Abs":         {1, 1, 1, abs},
		"Tanh":        {1, 1, 1, unary(Tanh)},
		"Erf":         {1, 1, 1, unary(Erf)},
		"Gelu":        {1, 1, 1, gelu},
		"Exp":         {1, 1, 1, unary(Exp)},
		"Log":         {1, 1, 1, unary(Log)},
		"Sqrt":        {1, 1, 1, unary(Sqrt)},
		"Neg":         {1, 1, 1, unary(Neg)},
		"Reciprocal":  {1, 1, 1, reciprocal},
		"Add":         {2, 2, 1, binary(Add)},
		"Sub":         {2, 2, 1, binary(Sub)},
		"Mul":         {2, 2, 1, binary(Mul)},
		"Div":         {2, 2, 1, binary(Div)},
		"Pow":         {2, 2, 1, binary(Pow)},
		"Sum":         {1, anyNumber, 1, sum},
		"Gemm":        {2, 3, 1, gemm},
		"MatMul":      {2, 2, 1, matMul},

		"Concat":       {1, anyNumber, 1, concat},
		"Split":        {1, 2, anyNumber, split},
		"Slice":        {1, 5, 1, slice},
		"Gather":       {2, 2, 1, gather},
		"Pad":          {1, 4, 1, pad},
		"Reshape":      {1, 2, 1, reshape},
		"Flatten":      {1, 1, 1, flatten},
		"Squeeze":      {1, 2, 1, squeeze},
		"Unsqueeze":    {1, 2, 1, unsqueeze},
		"Transpose":    {1, 1, 1, transpose},
		"Expand":       {2, 2, 1, expand},
		"Tile":         {2, 2, 1, tile},
		"DepthToSpace": {1, 1, 1, depthToSpace},
		"Identity":     {1, 1, 1, identity},
		"Cast":         {1, 1, 1, cast},
		"CastLike":     {2, 2, 1, castLike},

		"Constant":        {0, 0, 1, constant},
		"ConstantOfShape": {1, 1, 1, constantOfShape},
		"Shape":           {1, 1, 1, shapeOf},
		"Size":            {1, 1, 1, sizeOf},
		"Range":           {3, 3, 1, numbers},
		"Where":           {3, 3, 1, where},
		"Equal":           {2, 2, 1, compare(func(a, b float64) bool { return a == b })},
		"Less":            {2, 2, 1, compare(func(a, b float64) bool { return a < b })},
		"LessOrEqual":     {2, 2, 1, compare(func(a, b float64) bool { return a <= b })},
		"Greater":         {2, 2, 1, compare(func(a, b float64) bool { return a > b })},
		"GreaterOrEqual":  {2, 2, 1, compare(func(a, b float64) bool { return a >= b })},
		"And":             {2, 2, 1, compare(func(a, b float64) bool { return a != 0 && b != 0 })},
		"Or":              {2, 2, 1, compare(func(a, b float64) bool { return a != 0 || b != 0 })},
		"Not":             {1, 1, 1, not},
		"Mod":             {2, 2, 1, mod},
		"Min":             {1, anyNumber, 1, extreme(func(a, b float64) bool { return a < b })},
		"Max":             {1, anyNumber, 1, extreme(func(a, b float64) bool { return a > b })},
		"Floor":           {1, 1, 1, round(math.Floor)},
		"Ceil":            {1, 1, 1, round(math.Ceil)},
		"Round":           {1, 1, 1, round(math.RoundToEven)},
		"ReduceProd":      {1, 2, 1, reduceKnown(func(a, b int64) int64 { return a * b })},
	}
}
