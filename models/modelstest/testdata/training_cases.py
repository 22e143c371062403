"""What make_training.py turns networks into: one .npz a case, with the ONNX file, the case's description and PyTorch's answers.

numpy.load opens it. Members: model.onnx; case.json; eval<k>, the outputs as inference computes them with the file's weights; loss;
grad.<initializer>; stat.<initializer>, running statistics after one call in training mode; after<k>, the outputs as inference
computes them with those; course.…, what a sequence of AdamW steps gives. Answers are computed in float64 from the file's
float32 weights and rounded, but for a course's losses, which are PyTorch's float32. case.json has float32 PyTorch's own
error beside each answer.

Inputs and targets aren't stored: a formula makes them (`fill`), exactly, here and in Go (fill.go).
"""
import io
import json
import os
import zipfile

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "training")


def hashed(stream, n):
    """lowbias32 (Wellons, https://nullprogram.com/blog/2018/07/31/) of 0 … n−1, moved by the stream's number."""
    x = (np.arange(n, dtype=np.uint64) + stream * 0x9E3779B9).astype(np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> np.uint32(shift)
        x = (x.astype(np.uint64) * factor).astype(np.uint32)
    return x ^ (x >> np.uint32(16))


def balls(stream, classes, shape):
    """Masks [N,classes,…]: in each a ball, whose centre lies in the middle half of every axis and whose radius is a quarter of the shortest axis."""
    n, space = shape[0], shape[2:]
    out = np.zeros((n, classes, *space), np.float32)
    r = min(space) // 4
    for k in range(n * classes):
        h = hashed(stream + 1000 + k, len(space))
        d = sum((g - (s // 4 + int(v) % (s // 2))) ** 2 for g, s, v in zip(np.meshgrid(*[np.arange(s) for s in space], indexing="ij"), space, h))
        out[k // classes, k % classes] = d <= r * r
    return out


def fill(f):
    """An array by its description: {shape, kind, stream, scale?, classes?}. Every operation is exact in float32."""
    shape, n = f["shape"], int(np.prod(f["shape"]))
    h = hashed(f["stream"], n)
    if f["kind"] == "signed":  # [−1, 1)
        x = ((h >> 8).astype(np.float32) / 2**23 - 1)
    elif f["kind"] == "unit":  # [0, 1)
        x = ((h >> 8).astype(np.float32) / 2**24)
    elif f["kind"] == "binary":
        x = (h >> 31).astype(np.float32)
    elif f["kind"] == "ones":
        x = np.ones(n, np.float32)
    elif f["kind"] == "balls":
        x = balls(f["stream"], shape[1], shape).ravel()
    elif f["kind"] == "scene":  # noise in [−1/4, 1/4), and class k's ball (k+1)/8 brighter; the same in every channel
        b = balls(f["stream"], f["classes"], shape) * (np.arange(1, f["classes"] + 1, dtype=np.float32) / 8).reshape(1, -1, *[1] * (len(shape) - 2))
        noise = (hashed(f["stream"], n // shape[1]) >> 16).astype(np.float32) / 2**17 - np.float32(.25)
        x = np.repeat(b.max(1)[:, None] + noise.reshape(shape[0], 1, *shape[2:]), shape[1], 1).ravel()
    else:
        raise ValueError(f)
    return (x * np.float32(f.get("scale", 1))).astype(np.float32).reshape(shape)


def term_value(t, y, target, w):
    if t["kind"] == "dice":
        s = t.get("smooth", 0)
        return 1 - (2 * (y * target).sum() + s) / (y.sum() + target.sum() + s)
    if t["kind"] == "dice_per_channel":
        s, over = t.get("smooth", 0), [0, *range(2, y.dim())]
        return (1 - (2 * (y * target).sum(over) + s) / (y.sum(over) + target.sum(over) + s)).mean()
    w = (1 if w is None else w) * (1 + (t.get("positive_weight", 1) - 1) * target)
    bce = F.binary_cross_entropy if t["kind"] == "bce" else F.binary_cross_entropy_with_logits
    return (w * bce(y, target, reduction="none")).sum() / torch.as_tensor(w).expand_as(y).sum()


def loss_of(terms, names, outs, b, dtype):
    def one(targets, weights):
        total = 0
        for k, t in enumerate(terms):
            tensor = lambda f: None if f is None else torch.tensor(fill(f)).to(dtype)
            total = total + t["weight"] * term_value(t, outs[names.index(t["output"])], tensor(targets[k]), tensor(weights[k]) if weights else None)
        return total
    loss = one(b["targets"], b.get("weights"))
    if "mixed" in b:
        lam = float(np.float32(b["lambda"]))
        loss = lam * loss + (1 - lam) * one(b["mixed"], b.get("mixed_weights"))
    return loss


def outputs(m, b, dtype):
    outs = m(*[torch.tensor(fill(f)).to(dtype) for f in b["inputs"]])
    return [outs] if torch.is_tensor(outs) else list(outs)


def tame(m):
    """Weights that bfloat16 can hold: half the file's bytes are zeros and pack well."""
    with torch.no_grad():
        for p in list(m.parameters()) + [b for b in m.buffers() if b.is_floating_point()]:
            p.copy_(p.bfloat16().float())
    return m


def season(m):
    """Gives normalisations statistics and scales that are not 0 and 1."""
    for x in m.modules():
        if isinstance(x, torch.nn.modules.batchnorm._BatchNorm):
            x.running_mean.uniform_(-.3, .3), x.running_var.uniform_(.5, 2)
        if isinstance(x, (torch.nn.modules.batchnorm._BatchNorm, torch.nn.LayerNorm)):
            x.weight.data.uniform_(.5, 1.5), x.bias.data.uniform_(-.3, .3)


def export(m, b, training=torch.onnx.TrainingMode.PRESERVE, folded=False, opset=17):
    n_out = len(outputs(m, b, torch.float32))
    buf = io.BytesIO()
    names = [f"in{k}" for k in range(len(b["inputs"]))]
    torch.onnx.export(m, tuple(torch.tensor(fill(f)) for f in b["inputs"]), buf, opset_version=opset, input_names=names, output_names=[f"out{k}" for k in range(n_out)],
                      dynamo=False, training=training, do_constant_folding=folded)
    g = onnx.load_model_from_string(buf.getvalue())
    for node in g.graph.node:
        node.ClearField("doc_string")
    del g.graph.value_info[:]
    return g


def gates(p):
    """PyTorch's order of an LSTM's gates (input, forget, cell, output) to ONNX's (input, output, forget, cell)."""
    i, f, c, o = p.chunk(4)
    return torch.cat([i, o, f, c])


def origins(model, m):
    """For each trained initializer a function from the module's {name: tensor} to that initializer's tensor: the parameter itself, or what
    folding made of it (a transposed matrix; an LSTM's directions joined and their gates reordered)."""
    found = {}
    named = dict(m.named_parameters())
    lstms = [(n, x) for n, x in m.named_modules() if isinstance(x, torch.nn.LSTM)]

    def lstm(prefix, layer, x, kind):
        def take(ps):
            out = []
            for d in ["", "_reverse"][:2 if x.bidirectional else 1]:
                if kind == "bias":
                    out.append(torch.cat([gates(ps[f"{prefix}bias_ih_l{layer}{d}"]), gates(ps[f"{prefix}bias_hh_l{layer}{d}"])]))
                else:
                    out.append(gates(ps[f"{prefix}{kind}_l{layer}{d}"]))
            return torch.stack(out)
        return take

    for t in model.graph.initializer:
        if t.data_type != onnx.TensorProto.FLOAT or t.name.endswith(("running_mean", "running_var")):
            continue
        if t.name in named:
            found[t.name] = lambda ps, n=t.name: ps[n]
            continue
        value = torch.tensor(onnx.numpy_helper.to_array(t))
        tries = [lambda ps, n=n: ps[n].t() for n, p in named.items() if p.dim() == 2]
        for n, x in lstms:
            tries += [lstm(n + "." if n else "", k, x, kind) for k in range(x.num_layers) for kind in ("weight_ih", "weight_hh", "bias")]
        for f in tries:
            got = f({n: p.detach().float() for n, p in named.items()})
            if got.shape == value.shape and torch.equal(got, value):
                found[t.name] = f
                break
        else:
            print("    constant:", t.name, list(value.shape))
    return found


def rel(a, b):
    """Root mean square error over the answer's own size, as modelstest measures it."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(np.sqrt(((a - b) ** 2).sum()) / max(np.sqrt((b ** 2).sum()), 1e-30))


def np32(t):
    return t.detach().to(torch.float32).numpy()


def answers(m, init, b, terms, dtype):
    """Everything that is stored, but for a course, in the given type."""
    m.load_state_dict(init)
    m.to(dtype)
    names = [f"out{k}" for k in range(len(outputs(m.eval(), b, dtype)))]
    got = {f"eval{k}": y.detach() for k, y in enumerate(outputs(m.eval(), b, dtype))}
    m.train()
    m.zero_grad()
    loss = loss_of(terms, names, outputs(m, b, dtype), b, dtype)
    loss.backward()
    got["loss"] = loss.detach()
    stats = {n: x.detach().clone() for n, x in m.named_buffers() if n.endswith(("running_mean", "running_var"))}
    got.update({"stat." + n: x for n, x in stats.items()})
    if stats:
        got.update({f"after{k}": y.detach() for k, y in enumerate(outputs(m.eval(), b, dtype))})
    grads = {n: p.grad if p.grad is not None else torch.zeros_like(p) for n, p in m.named_parameters()}
    return got, grads, names


class Margin:
    """The smallest distance of any value in a training pass to the edge of a ReLU, and of any window's largest value to the next, over values' usual size."""

    def __enter__(self):
        self.least, self.saved = 1e9, []
        for where, name in ((F, "relu"), (F, "leaky_relu"), (F, "max_pool2d"), (F, "max_pool3d"), (torch.Tensor, "amax")):
            old = getattr(where, name)
            self.saved.append((where, name, old))
            setattr(where, name, self.wrap(name, old))
        return self

    def wrap(self, name, old):
        def f(x, *args, **kw):
            if name == "amax":
                top = x.detach().flatten(2).topk(2, -1).values
                gap = (top[..., 0] - top[..., 1])[top[..., 0] > 0]
                self.least = min(self.least, gap.min().item() if gap.numel() else 1e9)
            elif "pool" in name:  # maxima of ReLU's zeros tie without harm
                k, s, p = (v if isinstance(v, int) else v[0] for v in (args + (1, 1, 0))[:3])
                y, d = torch.nn.functional.pad(x.detach(), [p] * 2 * (x.dim() - 2), value=-9.), x.dim() - 2
                for a in range(2, 2 + d):
                    y = y.unfold(a, k, s)
                top = y.reshape(*y.shape[:2 + d], -1).topk(2, -1).values
                gap = (top[..., 0] - top[..., 1])[top[..., 0] > 0]
                self.least = min(self.least, gap.min().item() if gap.numel() else 1e9)
            else:
                self.least = min(self.least, x.detach().abs().min().item())
            return old(x, *args, **kw)
        return f

    def __exit__(self, *_):
        for where, name, old in self.saved:
            setattr(where, name, old)


def course_of(m, init, batches, terms, course, dtype):
    m.load_state_dict(init)
    m.to(dtype)
    m.train()
    a = course["adamw"]
    opt = torch.optim.AdamW(m.parameters(), lr=1, betas=(a.get("beta1", .9), a.get("beta2", .999)), eps=a.get("epsilon", 1e-8), weight_decay=a.get("weight_decay", 0))
    losses, norms = [], []
    for u in course["updates"]:
        opt.zero_grad()
        for k in u["batches"]:
            outs = outputs(m, batches[k], dtype)
            loss = loss_of(terms, [f"out{i}" for i in range(len(outs))], outs, batches[k], dtype)
            (loss / len(u["batches"])).backward()
            losses.append(loss.item())
        if a.get("clip_norm"):
            norms.append(torch.nn.utils.clip_grad_norm_(m.parameters(), a["clip_norm"]).item())
        opt.param_groups[0]["lr"] = u["rate"]
        opt.step()
    first = {n: opt.state[p]["exp_avg"] for n, p in m.named_parameters()}
    second = {n: opt.state[p]["exp_avg_sq"] for n, p in m.named_parameters()}
    return losses, norms, {n: p.detach().clone() for n, p in m.named_parameters()}, first, second


def pack16(x):
    """int16 of the largest magnitude's share, and that magnitude: 1.5e-5 of it is lost."""
    top = float(np.abs(x).max()) or 1.
    return np.round(x / top * 32767).astype(np.int16), top


class TooNear(Exception):
    """A value stands too near an edge, so that float32's rounding could move it over: take another seed."""


def margin(m, init, b):
    m.load_state_dict(init)
    m.double()
    with Margin() as margin, torch.no_grad():
        outputs(m.train(), b, torch.float64)
    m.load_state_dict(init)
    m.float().eval()
    return margin.least


def case(name, m, batches, terms, course=None, compact=False, runtime=True, train_export=False, folded=False, patch=None, outputs_only=False, edge=1e-5, opset=17):
    """Writes a case. batches[0] is what outputs, loss and gradients are of. compact stores them in 16 bits. folded lets the exporter fold
    constants, as it does where nobody forbids it. train_export exports the network as it trains; patch then changes the file.
    outputs_only stores nothing of training, where that is random or beyond what PyTorch computes well."""
    season(m)
    tame(m)
    m.eval()
    b = batches[0]
    model = export(m.train() if train_export else m, b, torch.onnx.TrainingMode.TRAINING if train_export else torch.onnx.TrainingMode.PRESERVE, folded, opset)
    m.eval()
    if patch:
        patch(model)
    init = {k: v.clone() for k, v in m.state_dict().items()}
    least = margin(m, init, b)
    if least < edge:
        raise TooNear(name)
    want, grads, names = answers(m, init, b, terms, torch.float64)
    single, single_grads, _ = answers(m, init, b, terms, torch.float32)
    m.load_state_dict(init)
    took = origins(model, m.float())
    for n, f in took.items():
        want["grad." + n], single["grad." + n] = f(grads), f(single_grads)
    if outputs_only:
        want = {k: v for k, v in want.items() if k.startswith("eval")}
    if runtime:  # a second opinion on the file and on the answers
        s = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        for k, y in enumerate(s.run(None, {f"in{i}": fill(f) for i, f in enumerate(b["inputs"])})):
            e = rel(y, want[f"eval{k}"])
            assert y.shape == tuple(want[f"eval{k}"].shape) and e < 1e-5, (name, k, y.shape, e)
    desc = {"batches": batches, "terms": terms, "torch_error": {}, "scale": {}, "every": {}, "training_only": not runtime}
    total = np.sqrt(sum(float((np32(v).astype(np.float64) ** 2).sum()) for k, v in want.items() if k.startswith("grad.")))
    members = {}
    for k, v in want.items():
        v32 = np32(v)
        assert np.isfinite(v32).all(), (name, k)
        size = max(np.sqrt((v32.astype(np.float64) ** 2).sum()), 1e-2 * total if k.startswith("grad.") else 0, 1e-30)
        e = float(np.sqrt(((np32(single[k]).astype(np.float64) - v32) ** 2).sum()) / size)
        desc["torch_error"][k] = float(f"{e:.2e}")
        if compact and v32.size > 4000 and not k.startswith("grad."):  # outputs: every seventh value, so that all rows and channels take part
            desc["every"][k], v32 = 7, v32.ravel()[::7]
        if compact and k.startswith(("grad.", "eval", "after")):
            members[k], desc["scale"][k] = pack16(v32)
        else:
            members[k] = v32
    worst = {}
    for k, e in desc["torch_error"].items():
        kind = k.rstrip("0123456789").split(".")[0]
        worst[kind] = max(worst.get(kind, 0), e)
    if course:
        desc["course"] = course
        losses, norms, weights, first, second = course_of(m, init, batches, terms, course, torch.float64)
        single_losses = course_of(m, init, batches, terms, course, torch.float32)[0]
        drift = max(abs(a - c) / abs(a) for a, c in zip(losses, single_losses))
        members["course.loss"] = np.array(single_losses, np.float32)
        worst["course"] = drift
        print("    course", [round(x, 4) for x in single_losses])
        if norms:
            members["course.norm"] = np.array(norms, np.float32)
        if course.get("weights"):
            for kind, ps in (("weight", weights), ("first", first), ("second", second)):
                for n, f in took.items():
                    members[f"course.{kind}.{n}"] = np32(f(ps))
    m.load_state_dict(init)
    m.float()
    write(name, model, desc, members)
    print(f"{name:32s} {os.path.getsize(os.path.join(folder, name + '.npz')):7d} bytes; loss {float(single['loss']):.5f}; PyTorch's float32 error", {k: f"{e:.0e}" for k, e in worst.items()},
          f"nearest edge {least:.0e}" if least < 1e9 else "")


def write(name, model, desc, members):
    os.makedirs(folder, exist_ok=True)
    with zipfile.ZipFile(os.path.join(folder, name + ".npz"), "w", zipfile.ZIP_DEFLATED, compresslevel=9) as z:
        def put(member, data):
            z.writestr(zipfile.ZipInfo(member, (2000, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED, 9)
        put("model.onnx", model.SerializeToString())
        put("case.json", json.dumps(desc, separators=(",", ":")))
        for k, v in members.items():
            buf = io.BytesIO()
            np.lib.format.write_array(buf, np.ascontiguousarray(v), (1, 0))
            put(k + ".npy", buf.getvalue())
