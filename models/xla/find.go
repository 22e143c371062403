package xla

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/xla/pjrt"
)

// The plugins' file names, in folders of the platforms' names below a native folder.
const (
	cpuFile  = "libpjrt_cpu.so"
	cudaFile = "xla_cuda_plugin.so"
)

// Find returns the path of a plugin: the given one; that of the environment's CSPINE_XLA_PLUGIN; else the file of a platform ("cuda":
// xla_cuda_plugin.so, "cpu": libpjrt_cpu.so; where empty, the first if there is a GPU, else the second) in xla-cuda or xla-cpu in or beside
// CSPINE_NATIVE_DIR, in .native beside the executable, or in .native in the working directory or above it. The error is a *models.Error
// with CodeNoEngine.
func Find(plugin, platform string) (string, error) {
	if plugin == "" && platform == "" {
		plugin = os.Getenv("CSPINE_XLA_PLUGIN")
	}
	if plugin != "" {
		if _, err := os.Stat(plugin); err != nil {
			return "", &models.Error{Code: models.CodeNoEngine, Detail: fmt.Sprintf("there is no plugin: %v", err), Remedy: remedyFor(plugin), Err: err}
		}
		return filepath.Abs(plugin)
	}
	switch platform {
	case "":
		platform = "cpu"
		if HasGPU() { // training there on the processor would look as if it worked
			platform = "cuda"
		}
	case "cuda", "cpu":
	default:
		return "", &models.Error{Code: models.CodeNoEngine, Detail: fmt.Sprintf("platform %q; there are cuda and cpu", platform)}
	}
	name := cpuFile
	if platform == "cuda" {
		name = cudaFile
	}
	for _, dir := range places() {
		for _, pattern := range []string{name, filepath.Join("*", "*", name)} { // the second are a wheel's folders
			matches, err := filepath.Glob(filepath.Join(dir, "xla-"+platform, pattern))
			if err == nil && len(matches) > 0 {
				return filepath.Abs(matches[0])
			}
		}
	}
	return "", &models.Error{Code: models.CodeNoEngine, Detail: fmt.Sprintf("no PJRT plugin of XLA for platform %s in CSPINE_NATIVE_DIR and .native", platform),
		Remedy: fmt.Sprintf("get it with ./run.sh setup xla-%s, or name its file in CSPINE_XLA_PLUGIN", platform)}
}

// HasGPU tells whether this machine has an NVIDIA GPU with its driver loaded.
func HasGPU() bool {
	_, err := os.Stat("/proc/driver/nvidia/version")
	return err == nil
}

// places lists the folders to look in, the most particular first.
func places() []string {
	var all []string
	if dir := os.Getenv("CSPINE_NATIVE_DIR"); dir != "" {
		all = append(all, dir, filepath.Dir(filepath.Clean(dir)))
	}
	if exe, err := os.Executable(); err == nil {
		all = append(all, filepath.Join(filepath.Dir(exe), ".native"))
	}
	dir, err := os.Getwd()
	for err == nil {
		all = append(all, filepath.Join(dir, ".native"))
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return all
}

func isCUDA(plugin string) bool { return strings.Contains(filepath.Base(plugin), "cuda") }

// remedyFor says what to do about a plugin that doesn't start.
func remedyFor(plugin string) string {
	if !isCUDA(plugin) {
		return "get it anew with ./run.sh setup xla-cpu"
	}
	if !HasGPU() {
		return "this machine has no NVIDIA GPU, or its driver is not loaded (/proc/driver/nvidia/version is missing): run on a GPU host, or choose engine gorgonia"
	}
	return "look that the driver is 580 or later (nvidia-smi) and that ./run.sh setup xla-cuda has fetched CUDA's libraries beside the plugin"
}

// clientOptions are a plugin's options.
func clientOptions(plugin string) []pjrt.Option {
	if !isCUDA(plugin) {
		return nil
	}
	// Memory is taken as it is needed: several trainings, one for each fold, may share a GPU.
	return []pjrt.Option{{Name: "preallocate", Value: false}}
}

// prepareCUDA tells XLA where CUDA's own tools and libraries lie: beside the plugin, as wheels of NVIDIA's unpack. What the user has
// set is left alone.
func prepareCUDA(plugin string) error {
	if !isCUDA(plugin) || strings.Contains(os.Getenv("XLA_FLAGS"), "xla_gpu_cuda_data_dir") {
		return nil
	}
	dir := filepath.Dir(plugin)
	for range 3 {
		for _, sub := range []string{"nvidia/cu13", "nvidia/cuda_nvcc"} {
			data := filepath.Join(dir, sub)
			if _, err := os.Stat(data); err == nil {
				return pjrt.Setenv("XLA_FLAGS", strings.TrimSpace(os.Getenv("XLA_FLAGS")+" --xla_gpu_cuda_data_dir="+data))
			}
		}
		dir = filepath.Dir(dir)
	}
	return nil
}
