//go:build !linux

package transforms

func sacrifice() {}
