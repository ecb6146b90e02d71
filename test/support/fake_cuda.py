"""A CUDA device that is none: its tensors say that they are on 'cuda:0', and lie in main memory.

What a GPU refuses is refused here: operands on different devices, and, while a graph is recorded,
all that waits for the device. What is recorded leaves no trace; a replay runs it, and nothing
else, at the addresses that it had. How fast a GPU is, what memory it has and how its kernels
round cannot be seen here.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

GPU, CPU = torch.device('cuda:0'), torch.device('cpu')
NAMES = ('cpu', 'cuda', 'cuda:0')
MIXING = {
    torch.Tensor.__getitem__,
    torch.Tensor.__setitem__,
    torch.Tensor.copy_,
    torch.Tensor.to,
}
"""Take tensors of both devices."""
PLAIN = {
    torch.device,
    torch._C._nn._parse_to,
    torch._has_compatible_shallow_copy_type,
}
"""Take or return no tensor's content."""
aten = torch.ops.aten
WAITING = {
    aten._local_scalar_dense.default,
    aten._unique2.default,
    aten.equal.default,
    aten.is_nonzero.default,
    aten.masked_select.default,
    aten.nonzero.default,
}
"""Have a result whose value or size the program must know."""
NOT_CAPTURED = 'operation not permitted when stream is capturing'


class FakeCudaTensor(torch.Tensor):
    """A tensor on the device."""

    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)

    def __deepcopy__(self, _: Any) -> torch.Tensor:
        return self.detach().clone().requires_grad_(self.requires_grad)

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run what is called with such a tensor."""
        return run(function, args, kwargs or {})


class FakeCuda(TorchFunctionMode):
    """In a thread that has entered it, tensors can be made on the device."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return run(function, args, kwargs or {})


def run(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Run a function of torch; what it returns is where its operands are, or as it is told."""
    if function in PLAIN:
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **kwargs)
    args, kwargs = tree_map(_as_device, (args, kwargs))
    leaves, tensors = tree_leaves((args, kwargs)), _tensors((args, kwargs))
    inside = [tensor for tensor in tensors if isinstance(tensor, FakeCudaTensor)]
    outside = [t for t in tensors if not isinstance(t, FakeCudaTensor) and t.dim() > 0]
    if inside and outside and function not in MIXING:
        raise RuntimeError(
            'Expected all tensors to be on the same device, but found at least two devices, '
            f'cuda:0 and cpu! ({function})'
        )
    if inside and function in (torch.Tensor.numpy, torch.Tensor.__array__):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")
    device = _wanted(function, args, leaves)
    to_gpu = device.type == 'cuda' if device else bool(inside)
    moves = bool(tensors) and device is not None and to_gpu != bool(inside)
    if FakeGraph.recording and (moves or (inside and outside)):
        raise RuntimeError(NOT_CAPTURED)
    args, kwargs = tree_map(
        lambda leaf: CPU if isinstance(leaf, torch.device) and leaf.type == 'cuda' else leaf,
        (args, kwargs),
    )
    FakeGraph.on_device = to_gpu or bool(inside)
    with torch._C.DisableTorchFunctionSubclass():
        result = function(*args, **kwargs)
        FakeGraph.on_device = False
        if moves:
            result = result.clone()
        return tree_map(lambda leaf: _placed(leaf, to_gpu), result)


def _as_device(leaf: Any) -> Any:
    return torch.device(leaf) if isinstance(leaf, str) and leaf in NAMES else leaf


def _wanted(function: Any, args: Any, leaves: list[Any]) -> torch.device | None:
    """Return the device that an argument names."""
    if function is torch.Tensor.cpu:
        return CPU
    if function is torch.Tensor.to and isinstance(args[-1], torch.Tensor) and len(args) > 1:
        return args[-1].device
    named = [leaf for leaf in leaves if isinstance(leaf, torch.device)]
    return named[0] if named else None


def _placed(leaf: Any, to_gpu: bool) -> Any:
    if not isinstance(leaf, torch.Tensor) or isinstance(leaf, FakeCudaTensor) == to_gpu:
        return leaf
    return leaf.as_subclass(FakeCudaTensor if to_gpu else torch.Tensor)


class FakeGraph:
    """Stands for torch.cuda.CUDAGraph."""

    recording: 'FakeGraph | None' = None
    on_device = False

    def __init__(self) -> None:
        self.recorded: list[tuple[Any, Any, Any, Any]] = []
        self.overwritten: list[tuple[torch.Tensor, torch.Tensor]] = []

    @contextmanager
    def record(self) -> Iterator[None]:
        """Record what is run inside, and undo it."""
        FakeGraph.recording = self
        try:
            with _Recorder(self):
                yield
        finally:
            FakeGraph.recording = None
            with torch._C.DisableTorchFunctionSubclass():
                for memory, content in reversed(self.overwritten):
                    memory.copy_(content)
            self.overwritten = []

    def replay(self) -> None:
        """Run what was recorded."""
        with torch._C.DisableTorchFunctionSubclass():
            for operation, args, kwargs, results in self.recorded:
                read = {address(tensor) for tensor in _tensors((args, kwargs))}
                found = operation(*args, **kwargs)
                for mine, its in zip(_tensors(results), _tensors(found), strict=True):
                    if address(mine) not in read:  # else it is a view of what is there
                        mine.copy_(its)


def _tensors(values: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]


def address(tensor: torch.Tensor) -> int:
    """Return where the memory begins that a tensor is a view of."""
    return tensor.untyped_storage().data_ptr()


class _Recorder(TorchDispatchMode):
    def __init__(self, graph: FakeGraph) -> None:
        super().__init__()
        self._graph = graph

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if not FakeGraph.on_device:
            return operation(*args, **kwargs)
        if operation in WAITING:
            raise RuntimeError(NOT_CAPTURED)
        with torch._C.DisableTorchFunctionSubclass():
            for declared, value in zip(operation._schema.arguments, args, strict=False):
                if declared.is_write:
                    self._graph.overwritten.append((value, value.clone()))
            results = operation(*args, **kwargs)
        self._graph.recorded.append((operation, args, kwargs, results))
        return results


class FakeStream:
    """Stands for torch.cuda.Stream: everything is over at once."""

    current: 'FakeStream | None' = None

    def __init__(self, *_: Any) -> None: ...

    def wait_stream(self, stream: Any) -> None:
        """Nothing is left to wait for."""

    def synchronize(self) -> None:
        """Wait for its events, which are all that there are."""
        FakeEvent.pending.clear()


@contextmanager
def fake_stream(stream: FakeStream) -> Iterator[None]:
    """Stands for torch.cuda.stream."""
    before, FakeStream.current = FakeStream.current, stream
    try:
        yield
    finally:
        FakeStream.current = before


@contextmanager
def fake_graph(graph: FakeGraph, pool: Any = None) -> Iterator[None]:
    """Stands for torch.cuda.graph, which leaves its stream current when a recording fails."""
    before, FakeStream.current = FakeStream.current, FakeStream()
    with graph.record():
        yield
    FakeStream.current = before


class FakeEvent:
    """Stands for torch.cuda.Event; pending are those that no one has waited for."""

    pending: ClassVar[deque[Any]] = deque()

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def record(self, *_: Any) -> None:
        """Take a place behind the others."""
        FakeEvent.pending.append(self)

    def synchronize(self) -> None:
        """Wait for this one, and so for those before it."""
        while FakeEvent.pending and FakeEvent.pending.popleft() is not self:
            pass


def fake_cuda_threads(workers: int, prefix: str) -> ThreadPoolExecutor:
    """Return threads that see the device too."""
    return ThreadPoolExecutor(workers, prefix, initializer=FakeCuda().__enter__)


@contextmanager
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let torch see one GPU, in this thread, inside."""
    FakeEvent.pending.clear()
    FakeStream.current = FakeStream()
    for name, value in {
        'is_available': lambda: True,
        'device_count': lambda: 1,
        'set_device': lambda _: None,
        'get_device_name': lambda _=None: 'no GPU',
        'get_device_capability': lambda _=None: (9, 0),
        'get_device_properties': lambda _=None: SimpleNamespace(is_integrated=False),
        'empty_cache': lambda: None,
        'synchronize': lambda _=None: FakeEvent.pending.clear(),
        'current_stream': lambda _=None: FakeStream.current,
        'graph_pool_handle': lambda: None,
        'stream': fake_stream,
        'graph': fake_graph,
        'CUDAGraph': FakeGraph,
        'Stream': FakeStream,
        'Event': FakeEvent,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with FakeCuda():
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwrites)
