//go:build !linux

package flink

import "syscall"

// dieWithParent can promise nothing here.
func dieWithParent() *syscall.SysProcAttr { return nil }
