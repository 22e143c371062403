// Package processor names this machine's vector instructions, by which libraries choose between kernels of different
// rounding. The name belongs to an engine's identity.
package processor

import (
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/cpu"
)

// Traits is the architecture and the instructions that matter, such as "amd64 avx2 fma".
var Traits = sync.OnceValue(func() string {
	if runtime.GOARCH != "amd64" {
		return runtime.GOARCH
	}
	have := []string{runtime.GOARCH}
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"avx2", cpu.X86.HasAVX2}, {"fma", cpu.X86.HasFMA}, {"avx512", cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ},
		{"vnni", cpu.X86.HasAVX512VNNI}, {"bf16", cpu.X86.HasAVX512BF16}, {"amx", cpu.X86.HasAMXBF16 && cpu.X86.HasAMXTile},
	} {
		if f.has {
			have = append(have, f.name)
		}
	}
	return strings.Join(have, " ")
})
