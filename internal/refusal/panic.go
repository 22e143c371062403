package refusal

import (
	"fmt"
	"runtime"
	"strings"
)

// Internal is the code of a defect of ours: a panic.
const Internal Code = "internal_error"

// Recovered makes a refusal of what recover returned. It must be called by the deferred function itself.
// A panic's own text may quote input, so that only its type, its place and the runtime's own words (index
// out of range, …) are kept.
func Recovered(p any) *Error {
	what := fmt.Sprintf("a %T", p)
	if err, ok := p.(runtime.Error); ok {
		what = err.Error()
	}
	return New(Internal, "report this with the step and the place named here", "%s in %s", what, panicPlace())
}

// panicPlace finds the innermost function of this module that the panic went through.
func panicPlace() string {
	const module = "github.com/cspine/cspine/"
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs)])
	panicked := false
	for {
		frame, more := frames.Next()
		if panicked && strings.HasPrefix(frame.Function, module) {
			return fmt.Sprintf("%s, line %d", strings.TrimPrefix(frame.Function, module), frame.Line)
		}
		panicked = panicked || frame.Function == "runtime.gopanic"
		if !more {
			return "an unknown place"
		}
	}
}
