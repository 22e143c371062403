package program

import (
	"fmt"
	"reflect"
	"strings"
)

// String prints the program for people and for tests: inputs, an operation a line, outputs, and what is trained. Fields that have their
// usual value (strides 1, paddings 0, one group) are left out.
func (p *Program) String() string {
	var b strings.Builder
	for _, i := range p.Inputs {
		fmt.Fprintf(&b, "input %s\n", p.value(i))
	}
	for _, op := range p.Ops {
		var out, in []string
		for _, i := range op.Out {
			out = append(out, p.value(i))
		}
		for _, i := range op.In {
			in = append(in, p.operand(i))
		}
		fmt.Fprintf(&b, "%s = %s(%s)%s\n", strings.Join(out, ", "), name(op.Do), strings.Join(in, ", "), settings(op.Do))
	}
	for _, i := range p.Outputs {
		fmt.Fprintf(&b, "output %s\n", p.value(i))
	}
	var count, elements [Constant + 1]int
	for i := range p.Values {
		v := &p.Values[i]
		count[v.Role]++
		elements[v.Role] += v.Len()
	}
	fmt.Fprintf(&b, "%d parameters with %d elements, %d statistics with %d, %d constants with %d\n", count[Parameter], elements[Parameter],
		count[Statistic], elements[Statistic], count[Constant], elements[Constant])
	return b.String()
}

func (p *Program) value(i int) string {
	v := &p.Values[i]
	return v.Name + " " + dims(v.Shape)
}

func dims(shape []int) string {
	return strings.ReplaceAll(fmt.Sprint(shape), " ", "x")
}

// operand prints what an operation reads: a small constant as its number, a weight with its shape.
func (p *Program) operand(i int) string {
	if i < 0 {
		return "-"
	}
	v := &p.Values[i]
	switch {
	case v.Role == Constant && v.Len() == 1:
		return fmt.Sprint(v.Data[0])
	case v.Role == Computed || v.Role == Input:
		return v.Name
	}
	return v.Name + " " + dims(v.Shape)
}

// name is the operation's, or its function's.
func name(do Operation) string {
	switch do := do.(type) {
	case *Unary:
		return string(do.Func)
	case *Binary:
		return string(do.Func)
	case *Pool:
		if do.Max {
			return "MaxPool"
		}
		return "MeanPool"
	}
	return reflect.TypeOf(do).Elem().Name()
}

// settings prints the fields that are not as usual.
func settings(do Operation) string {
	var b strings.Builder
	v := reflect.ValueOf(do).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i).Name
		if field == "Func" || field == "Max" || usual(field, v.Field(i)) {
			continue
		}
		text := strings.ReplaceAll(fmt.Sprint(v.Field(i)), " ", ",")
		fmt.Fprintf(&b, " %s=%s", strings.ToLower(field[:1])+field[1:], strings.Trim(text, "[]"))
	}
	return b.String()
}

// usual tells whether a field has the value that an exporter writes when nobody asks for another.
func usual(field string, v reflect.Value) bool {
	rest := int64(0)
	switch field {
	case "Kernel", "Scales", "Perm", "Axes", "Axis":
		return false
	case "Strides", "Dilations", "Step", "Group":
		rest = 1
	case "Alpha", "Beta":
		if v.Float() == 1 {
			return true
		}
	}
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			if v.Index(i).Int() != rest {
				return false
			}
		}
		return true
	case reflect.Int:
		return v.Int() == rest
	}
	return v.IsZero()
}
