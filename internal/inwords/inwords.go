// Package inwords writes numbers as people read them.
package inwords

import "fmt"

// Bytes writes a size, in powers of 1,000.
func Bytes(n int64) string {
	const unit = 1000
	value, suffix := float64(n), "B"
	for _, next := range []string{"kB", "MB", "GB", "TB"} {
		if value < unit {
			break
		}
		value, suffix = value/unit, next
	}
	if suffix == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, suffix)
}
