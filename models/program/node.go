package program

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cspine/cspine/models/onnx"
)

// node is the ONNX node that a rule works on.
type node struct {
	*onnx.Node
	c     *compiler
	in    []*value // nil for what is left out
	asked map[string]bool
	parts int // unnamed values made so far
}

func (n *node) error(detail string) *Error {
	const most = 500
	if len(detail) > most { // a list of a million numbers
		detail = strings.ToValidUTF8(detail[:most], "") + "…"
	}
	if n == nil {
		return &Error{Detail: detail}
	}
	return &Error{Node: title(n.Node), Op: n.Op, Detail: detail}
}

// refuse ends the compilation.
func (n *node) refuse(format string, args ...any) {
	panic(n.error(fmt.Sprintf(format, args...)))
}

// input returns an input, or nil where it is left out.
func (n *node) input(i int) *value {
	if i < len(n.in) {
		return n.in[i]
	}
	return nil
}

// give binds an output's name to a value.
func (n *node) give(i int, v *value) {
	if i >= len(n.Outputs) || n.Outputs[i] == "" {
		return
	}
	if v.name == "" || v.part == n {
		v.name, v.part = n.Outputs[i], nil
	}
	n.c.values[n.Outputs[i]] = v
}

func (n *node) attribute(name string, kind onnx.AttributeKind) (onnx.Attribute, bool) {
	n.asked[name] = true
	a, ok := n.Attribute(name)
	if ok && a.Kind != kind && a.Kind != 0 { // the oldest files leave the kind out
		n.refuse("the attribute %s is of kind %d, not %d", name, a.Kind, kind)
	}
	return a, ok
}

// ignore accepts attributes that change nothing here.
func (n *node) ignore(names ...string) {
	for _, name := range names {
		n.asked[name] = true
	}
}

// has tells whether an attribute is there.
func (n *node) has(name string) bool {
	_, ok := n.Attribute(name)
	return ok
}

func (n *node) int(name string, otherwise int) int {
	a, ok := n.attribute(name, onnx.IntKind)
	if !ok {
		return otherwise
	}
	if a.Int > math.MaxInt32 || a.Int < math.MinInt32 {
		n.refuse("%s is %d", name, a.Int)
	}
	return int(a.Int)
}

func (n *node) flag(name string) bool { return n.int(name, 0) != 0 }

// float returns an attribute as the decimal number that its float32 was made from: 0.1, not 0.10000000149.
func (n *node) float(name string, otherwise float64) float64 {
	a, ok := n.attribute(name, onnx.FloatKind)
	if !ok {
		return otherwise
	}
	if math.IsNaN(float64(a.Float)) || math.IsInf(float64(a.Float), 0) {
		n.refuse("%s is %v", name, a.Float)
	}
	return decimal(a.Float)
}

func decimal(v float32) float64 {
	d, err := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64)
	if err != nil {
		return float64(v)
	}
	return d
}

func (n *node) text(name, otherwise string) string {
	a, ok := n.attribute(name, onnx.StringKind)
	if !ok {
		return otherwise
	}
	return a.String
}

// perAxis returns a list of count whole numbers, each at least least, or count times otherwise.
func (n *node) perAxis(name string, count, otherwise, least int) []int {
	a, ok := n.attribute(name, onnx.IntsKind)
	if !ok || len(a.Ints) == 0 {
		return slices.Repeat([]int{otherwise}, count)
	}
	if len(a.Ints) != count {
		n.refuse("%s has %d numbers, not %d", name, len(a.Ints), count)
	}
	return n.whole(name, a.Ints, least)
}

func (n *node) whole(name string, values []int64, least int) []int {
	out := make([]int, len(values))
	for i, v := range values {
		if v < int64(least) || v > math.MaxInt32 {
			n.refuse("%s has %d", name, v)
		}
		out[i] = int(v)
	}
	return out
}

// knownInts returns an input's integers, or nil and false where it is left out.
func (n *node) knownInts(i int, what string) ([]int64, bool) {
	v := n.input(i)
	if v == nil {
		return nil, false
	}
	if !v.known || !v.integer {
		n.refuse("%s (input %d) must be whole numbers that don't depend on the model's inputs", what, i)
	}
	return v.ints, true
}

// listed returns whole numbers that old versions of an operator have as an attribute and new ones as an input.
func (n *node) listed(name string, i int) ([]int64, bool) {
	if a, ok := n.attribute(name, onnx.IntsKind); ok {
		return a.Ints, true
	}
	return n.knownInts(i, name)
}

// axis turns an axis that may count from the end into one of rank axes.
func (n *node) axis(a int64, rank int) int {
	if a < -int64(rank) || a >= int64(rank) {
		n.refuse("axis %d is not one of %d", a, rank)
	}
	if a < 0 {
		a += int64(rank)
	}
	return int(a)
}

// axes returns sorted different axes.
func (n *node) axes(list []int64, rank int) []int {
	if len(list) > rank {
		n.refuse("%d axes are named of %d", len(list), rank)
	}
	out := make([]int, 0, len(list))
	for _, a := range list {
		out = append(out, n.axis(a, rank))
	}
	slices.Sort(out)
	for i := 1; i < len(out); i++ {
		if out[i] == out[i-1] {
			n.refuse("axis %d is named twice", out[i])
		}
	}
	return out
}

// scalar returns the single number of a known input, or otherwise where it is left out.
func (n *node) scalar(i int, what string, otherwise float64) float64 {
	v := n.input(i)
	if v == nil {
		return otherwise
	}
	if !v.known || v.len() != 1 {
		n.refuse("%s (input %d) must be one number that doesn't depend on the model's inputs", what, i)
	}
	return v.number(0)
}
