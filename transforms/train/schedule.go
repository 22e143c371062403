package train

import "math"

// The kinds of learning-rate schedule.
const (
	Cosine   = "cosine"
	Restarts = "restarts"
)

// schedule gives each update its learning rate.
type schedule struct {
	base, floor float64
	warmup      int64
	// span is the number of updates until the floor is reached, the first time.
	span int64
	// restarts begins anew at the end of each span, which is then factor times as long.
	restarts bool
	factor   int64
}

// rate returns the learning rate of update t, from 0. After a linear warm-up, which is PyTorch's
// LinearLR(start_factor=1/(warmup+1), total_iters=warmup), it follows
//
//	floor + (base − floor)·(1 + cos(π·t/span))/2
//
// which is CosineAnnealingLR(T_max=span) and, with restarts, CosineAnnealingWarmRestarts(T_0=span, T_mult=factor), stepped by
// update (Loshchilov & Hutter, SGDR, arXiv 1608.03983).
func (s schedule) rate(t int64) float64 {
	if t < s.warmup {
		return s.base * float64(t+1) / float64(s.warmup+1)
	}
	t -= s.warmup
	span := s.span
	if s.restarts {
		for t >= span {
			t -= span
			span *= s.factor
		}
	}
	t = min(t, span)
	return s.floor + (s.base-s.floor)*(1+math.Cos(math.Pi*float64(t)/float64(span)))/2
}
