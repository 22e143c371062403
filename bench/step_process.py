"""Steps of training or inference on request, each in a process of its own: PyTorch and OpenVINO's Python API here (run as a program),
cspine in bench/trainstep.

Both read JSON lines from standard input and answer each with one: first a configuration (see trainstep/main.go), then
{"do": "step", "inputs": [file], "targets": [file], "rate": r}, {"do": "infer", "inputs": [file]} or {"do": "memory"}. Files are .npy.
"""
import json
import os
import subprocess
import sys
import time

here = os.path.dirname(os.path.abspath(__file__))


class Process:
    def __init__(self, command, config):
        self.p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": str(config["threads"])})
        self.ask(config)

    def ask(self, what):
        self.p.stdin.write(json.dumps(what) + "\n")
        self.p.stdin.flush()
        line = self.p.stdout.readline()
        if not line:
            raise SystemExit(f"{self.p.args}: ended with status {self.p.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise SystemExit(f"{self.p.args}: {answer['error']}")
        return answer

    def close(self):
        self.p.stdin.close()
        self.p.wait()


def python_process(config):
    return Process([sys.executable, os.path.abspath(__file__)], config)


def cspine_process(config, binary):
    return Process([binary], config)


def build(to):
    subprocess.run(["go", "build", "-trimpath", "-o", to, "./bench/trainstep"], cwd=os.path.dirname(here), check=True, env={**os.environ, "CGO_ENABLED": "0"})


def high_water():
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))


def say(d):
    print(json.dumps(d), flush=True)


def serve():
    c = json.loads(sys.stdin.readline())
    {"torch": serve_torch, "openvino": serve_openvino}[c.get("against", "torch")](c)


def serve_openvino(c):
    import numpy as np
    import openvino
    base = high_water()
    net = openvino.Core().compile_model(c["model"], "CPU", {"INFERENCE_NUM_THREADS": c["threads"], "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": c["precision"]})
    seen = {}
    say({"base": base})
    for line in sys.stdin:
        r = json.loads(line)
        if r["do"] == "memory":
            say({"peak": high_water(), "base": base})
            continue
        path = r["inputs"][0]
        if path not in seen:
            seen[path] = np.load(path)
        wall, cpu = time.perf_counter(), time.process_time()
        y = net(seen[path])[0]
        say({"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "sum": float(y.astype(np.float64).sum())})


def serve_torch(c):
    import numpy as np
    import torch
    import torch_networks
    base = high_water()
    torch.set_num_threads(c["threads"])
    m = torch.load(c["module"], weights_only=False)
    loss_of = torch_networks.LOSSES[c["loss_name"]][0]
    last = torch.channels_last_3d if c.get("channels_last") else torch.contiguous_format
    m = m.to(memory_format=last)
    bf16 = c.get("precision") == "bf16"
    m.train(c["train"])
    opt = torch.optim.AdamW(m.parameters(), lr=1, weight_decay=c.get("weight_decay", 0)) if c["train"] else None
    seen = {}

    def tensor(path):
        if path not in seen:
            t = torch.from_numpy(np.load(path))
            seen[path] = t.to(memory_format=last) if t.dim() == 5 else t
        return seen[path]

    say({"base": base})
    for line in sys.stdin:
        r = json.loads(line)
        if r["do"] == "memory":
            say({"peak": high_water(), "base": base})
            continue
        x = tensor(r["inputs"][0])
        if r["do"] == "infer":
            wall, cpu = time.perf_counter(), time.process_time()
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                y = m(x)
            say({"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "sum": float(y.double().sum())})
            continue
        t = tensor(r["targets"][0])
        wall, cpu = time.perf_counter(), time.process_time()
        opt.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            y = m(x)
        loss = loss_of(y.float(), t)
        loss.backward()
        opt.param_groups[0]["lr"] = r["rate"]
        opt.step()
        value = loss.item()
        say({"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "loss": value})


if __name__ == "__main__":
    serve()
