"""Paths that end or stop the process that they run in, for a file that ``--load`` imports."""

SOURCE = """
import ctypes, multiprocessing, os, resource, time
from torch import nn
from jaccheck.paths import get, register_path


class Deadly:
    def __init__(self, name, layer, do):
        self.name, self.layer, self.do = name, layer, do

    def jacobian(self, model, x):
        if any(isinstance(module, self.layer) for module in model.modules()):
            self.do()
        return get("vmap_jacrev").jacobian(model, x)


def eat():
    eaten = []
    while True:
        eaten.append(bytes(1 << 26))  # of zeros that nobody reads: it takes room, and no time


register_path(Deadly("segfaults", nn.Tanh, lambda: ctypes.string_at(0)))
register_path(Deadly("leaves", nn.Tanh, lambda: os._exit(7)))
register_path(Deadly("sleeps", nn.Mish, lambda: time.sleep(1e6)))
register_path(Deadly("eats", nn.Tanh, eat))
register_path(Deadly("lives", nn.Tanh, lambda: None))
register_path(Deadly("slow", nn.Module, lambda: time.sleep(0.02)))
if multiprocessing.parent_process() is not None:  # a worker
    size = 4096 * int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 30), -1))
"""
