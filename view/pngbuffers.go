package view

import (
	"image/png"
	"sync"
)

// pngPool lends the encoder its memory, which is more than a slice's.
type pngPool struct{ sync.Pool }

var pngBuffers = &pngPool{}

func (p *pngPool) Get() *png.EncoderBuffer  { b, _ := p.Pool.Get().(*png.EncoderBuffer); return b }
func (p *pngPool) Put(b *png.EncoderBuffer) { p.Pool.Put(b) }
