package backend

import (
	"container/list"
	"crypto/sha256"
	"sync"

	"github.com/cspine/cspine/models/xla/pjrt"
)

// XLA compiles for seconds to minutes, and one process often asks for the same program: folds of a cross-validation train the same
// network. Programs are kept by their text, those that nobody uses as long as there are few.

// idle is how many unused programs are kept.
const idle = 8

type cacheKey struct {
	client *pjrt.Client
	digest [sha256.Size]byte
}

// cached is a program and how many use it. Its turn is held while it is compiled.
type cached struct {
	key  cacheKey
	exec *pjrt.Executable
	uses int
	turn sync.Mutex
	free *list.Element // its place among the unused
}

type cache struct {
	mu     sync.Mutex
	all    map[cacheKey]*cached
	unused *list.List // of *cached, the longest unused first
}

var programs = cache{all: map[cacheKey]*cached{}, unused: list.New()}

// get returns the compiled program of a text, compiling it if nobody has.
func (c *cache) get(client *pjrt.Client, module, options []byte, devices, outputs int) (*cached, error) {
	h := sha256.New()
	h.Write(options)
	h.Write(module)
	key := cacheKey{client: client, digest: [sha256.Size]byte(h.Sum(nil))}
	c.mu.Lock()
	p := c.all[key]
	if p == nil {
		p = &cached{key: key}
		c.all[key] = p
	}
	p.uses++
	if p.free != nil {
		c.unused.Remove(p.free)
		p.free = nil
	}
	c.mu.Unlock()

	p.turn.Lock()
	defer p.turn.Unlock()
	if p.exec != nil {
		return p, nil
	}
	exec, err := client.Compile(module, options, devices, outputs)
	if err != nil {
		c.put(p)
		return nil, err
	}
	p.exec = exec
	return p, nil
}

// put gives a program back.
func (c *cache) put(p *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.uses--; p.uses > 0 {
		return
	}
	if p.exec == nil {
		delete(c.all, p.key)
		return
	}
	p.free = c.unused.PushBack(p)
	for c.unused.Len() > idle {
		old := c.unused.Remove(c.unused.Front()).(*cached)
		delete(c.all, old.key)
		_ = old.exec.Destroy() // it fails only where the device has failed
	}
}
