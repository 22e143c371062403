package augment

import (
	"math"
	"math/rand/v2"
)

// vertebra makes smooth slices with some noise, and a disc as the mask.
func vertebra(seed uint64, slices, edge int) []uint8 {
	r := rand.New(rand.NewPCG(seed, 2))
	out := make([]uint8, 0, slices*Planes*edge*edge)
	a, b := 1+r.Float64(), 1+r.Float64()
	for s := range slices {
		for plane := range Planes {
			for i := range edge {
				for j := range edge {
					v := 120 + 50*math.Sin(a*float64(i)/7+float64(s)) + 40*math.Sin(b*float64(j)/6+float64(plane)) + 30*r.Float64()
					if plane == Planes-1 {
						v = 0
						if math.Hypot(float64(i)-float64(edge)/2, float64(j)-float64(edge)/2.5) < float64(edge)/3 {
							v = 200 + 50*r.Float64()
						}
					}
					out = append(out, uint8(max(0, min(255, v))))
				}
			}
		}
	}
	return out
}
