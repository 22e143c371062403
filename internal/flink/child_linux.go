package flink

import "syscall"

// dieWithParent makes the system end a child when the thread that started it is gone. An interrupt at the terminal is not for the child:
// its parent still needs it to cancel what runs.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
