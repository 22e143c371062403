package transforms

import "os"

// sacrifice makes this process the first that the system ends for want of memory.
func sacrifice() { _ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) }
