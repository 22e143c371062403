"""Writes events.bin as TensorBoard's own classes write it (tensorboard 2.21.0, with its protocol buffers)."""
import pathlib

from tensorboard.compat.proto import event_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

events = [event_pb2.Event(wall_time=1700000000.25, file_version="brain.Event:2")]
for step, time, scalars in [
    (0, 1700000001.5, [("loss/train", 0.75)]),
    (240, 1700000002.5, [("loss/train", 0.5), ("dice/C1", 0.1), ("learning_rate", 3e-4)]),
    (1 << 33, 1700000003.5, [("dice/mean", 1.0)]),
]:
    e = event_pb2.Event(wall_time=time, step=step)
    for tag, value in scalars:
        v = e.summary.value.add()
        v.tag, v.simple_value = tag, value
    events.append(e)
with open(pathlib.Path(__file__).with_name("events.bin"), "wb") as f:
    w = RecordWriter(f)
    for e in events:
        w.write(e.SerializeToString(deterministic=True))
    w.flush()
