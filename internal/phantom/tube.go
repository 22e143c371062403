package phantom

import "math"

// station is a tube's cross-section at one level: the centre in u, v (mm to the left and to the back of the centre of
// the vertebral bodies), the half axes, and by how many degrees the first axis is turned to the back.
type station struct{ level, u, v, ru, rv, turn float64 }

// tube is tissue that runs along the neck: a muscle, a vessel, an airway. Beyond its first and last station there is
// none of it.
type tube struct {
	from, to           float64
	u, v, ru, rv, turn *profile
}

func newTube(list ...station) tube {
	n := len(list)
	column := func(get func(station) float64) *profile {
		x, y := make([]float64, n), make([]float64, n)
		for i, s := range list {
			x[i], y[i] = s.level, get(s)
		}
		return newProfile(x, y)
	}
	return tube{
		from: list[0].level, to: list[n-1].level,
		u:    column(func(s station) float64 { return s.u }),
		v:    column(func(s station) float64 { return s.v }),
		ru:   column(func(s station) float64 { return s.ru }),
		rv:   column(func(s station) float64 { return s.rv }),
		turn: column(func(s station) float64 { return s.turn * math.Pi / 180 }),
	}
}

// vary returns one patient's version of a tube, mirrored to the given side.
func (t tube) vary(d *dice, side float64) tube {
	du, dv, thick := d.around(0, 0.8), d.around(0, 0.8), d.around(1, 0.07)
	change := func(p *profile, f func(float64) float64) *profile {
		y := make([]float64, len(p.y))
		for i := range y {
			y[i] = f(p.y[i])
		}
		return newProfile(p.x, y)
	}
	t.u = change(t.u, func(u float64) float64 { return side * (u + du) })
	t.v = change(t.v, func(v float64) float64 { return v + dv })
	t.ru = change(t.ru, func(r float64) float64 { return r * thick })
	t.rv = change(t.rv, func(r float64) float64 { return r * thick })
	t.turn = change(t.turn, func(a float64) float64 { return side * a })
	return t
}

// oval is a tube's cross-section in a slice.
type oval struct{ u, v, ru, rv, sin, cos, reach float64 }

// cut is the tube's cross-section at a level; ok is false if it does not reach there.
func (t *tube) cut(level float64) (o oval, ok bool) {
	if level < t.from || level > t.to {
		return o, false
	}
	o = oval{u: t.u.at(level), v: t.v.at(level), ru: t.ru.at(level), rv: t.rv.at(level)}
	o.sin, o.cos = math.Sincos(t.turn.at(level))
	// The ends are round, not sawn off.
	end := math.Sqrt(min(1, (level-t.from)/0.15, (t.to-level)/0.15))
	o.ru, o.rv = max(0.3, o.ru*end), max(0.3, o.rv*end)
	o.reach = max(o.ru, o.rv)
	return o, true
}

func (o *oval) distance(u, v float64) float64 {
	u, v = u-o.u, v-o.v
	return ellipse(u*o.cos+v*o.sin, v*o.cos-u*o.sin, o.ru, o.rv)
}

// window covers the oval and margin mm around it.
func (c *canvas) ovalWindow(o *oval, margin float64) window {
	x, y := c.sec.world(o.u, o.v)
	r := (o.reach+margin)*c.sec.size + 3.5 // the warp
	return c.around(x-r, y-r, x+r, y+r)
}

// paintTube fills a tube's cross-section, grown by grow mm.
func (c *canvas) paintTube(t *tube, hu float32, grow float64) {
	o, ok := t.cut(c.sec.level)
	if !ok {
		return
	}
	w := c.ovalWindow(&o, grow+1)
	c.measure(w, func(u, v float64) float64 { return o.distance(u, v) - grow })
	c.fill(w, hu)
}
