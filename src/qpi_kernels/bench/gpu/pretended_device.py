"""A device of torch that only pretends: tensors stay on the CPU, and misuse is found and counted.

What a machine without a GPU can tell of a program for one: whether tensors of the host and of the
device are mixed, how many kernels are launched, how often the host waits, and what is copied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from threading import RLock
from typing import Any

import torch
from torch.utils._pytree import tree_iter, tree_map_only

__all__ = [
    "PRETENDED",
    "DeviceMixError",
    "TensorTraffic",
    "counted_traffic",
    "limited_memory",
    "register_pretended",
]

PRETENDED = "pretended"
"""Name of the device, after `register_pretended`."""

# Kernels on a GPU take the places of elements from either side, and scalars of the host.
_INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
# The host waits to learn the size of their results.
_UNKNOWN_SIZE = {"nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive"}
# Questions that need no kernel.
_NO_KERNEL = {"detach", "alias", "lift_fresh", "is_same_size", "_has_same_storage_numel"}
# Views that are only a mark on a tensor, which is lost here: computed instead.
_MATERIAL = {
    "_conj": torch.ops.aten.conj_physical.default,
    "_neg_view": torch.ops.aten.neg.default,
}


class DeviceMixError(RuntimeError):
    """Tensors of host and device meet in one operation, which a GPU refuses."""


class TensorTraffic:
    """Counts of what a program asks of a device.

    Attributes
    ----------
    launches : Counter of str
        Operations that compute, each at least a kernel launch, by name; views are none.
    synchronisations : int
        Times that the host waits for a number or an array.
    copies_to_host, copies_to_device : int
        Arrays that cross.
    peak_bytes : int
        Largest memory of tensors that live at a time, above what there was before and without what
        operations need inside.
    """

    def __init__(self) -> None:
        self._before = _memory.bytes
        self.launches: Counter[str] = Counter()
        self.synchronisations = 0
        self.copies_to_host = 0
        self.copies_to_device = 0
        self.peak_bytes = 0

    def see(self, memory: int) -> None:
        """Take note of the memory of all tensors."""
        self.peak_bytes = max(self.peak_bytes, memory - self._before)


_counting: list[TensorTraffic] = []


@contextmanager
def counted_traffic() -> Iterator[TensorTraffic]:
    """Count what is asked of the pretended device in this block, by any thread."""
    traffic = TensorTraffic()
    _counting.append(traffic)
    try:
        yield traffic
    finally:
        _counting.remove(traffic)


@contextmanager
def limited_memory(limit: int) -> Iterator[None]:
    """Give the device so many bytes more in this block, then `torch.cuda.OutOfMemoryError`."""
    _memory.limit = _memory.bytes + limit
    try:
        yield
    finally:
        _memory.limit = None


class _Memory:
    """Bytes of the tensors that live, each storage once."""

    def __init__(self) -> None:
        self.limit: int | None = None
        self._users: Counter[int] = Counter()
        self.bytes = 0
        self._lock = RLock()

    def take(self, host: torch.Tensor) -> tuple[int, int]:
        """Count a tensor's storage, and return its address and bytes for `free`."""
        storage = host.untyped_storage()
        address, size = storage.data_ptr(), storage.nbytes()
        with self._lock:
            if not self._users[address]:
                if self.limit is not None and self.bytes + size > self.limit:
                    raise torch.cuda.OutOfMemoryError(f"{PRETENDED} out of memory")
                self.bytes += size
            self._users[address] += 1
            for traffic in _counting:
                traffic.see(self.bytes)
        return address, size

    def free(self, address: int, size: int) -> None:
        """Forget a tensor that `take` counted."""
        with self._lock:
            self._users[address] -= 1
            if not self._users[address]:
                del self._users[address]
                self.bytes -= size


_memory = _Memory()


@cache
def register_pretended() -> torch.device:
    """Make torch know the device, once in a process.

    Raises
    ------
    RuntimeError
        If this release of torch has no way to (2.13 has), or there is a real one: torch knows one
        sort of accelerator in a process.
    """
    if torch.cuda.is_available():
        raise RuntimeError("a device is pretended only where there is no GPU")
    try:
        from torch.utils.backend_registration import _setup_privateuseone_for_python_backend
    except ImportError as error:
        raise RuntimeError("pretending a device needs torch 2.10 or later") from error
    _setup_privateuseone_for_python_backend(PRETENDED)
    # As torch's own fake tensors do: `torch.tensor` fills an array of the host and moves it.
    torch._C._set_only_lift_cpu_tensors(True)
    library: Any = torch.library.Library  # its annotations are incomplete
    everything, own = library("_", "IMPL"), library("aten", "IMPL")
    everything.fallback(_without_tensors, "PrivateUse1")
    for packet in _SEQUENCES:
        for overload in packet.overloads():
            if not overload.endswith("out"):
                function = getattr(packet, overload)
                own.impl(function, partial(_without_tensors, function), "PrivateUse1")
    _LIBRARIES.extend([everything, own])
    return torch.device(PRETENDED, 0)


# What is registered lives as long as these.
_LIBRARIES: list[Any] = []
# Torch would make these in an empty tensor that it resizes, which is not possible here.
_SEQUENCES: tuple[Any, ...] = (torch.ops.aten.eye, torch.ops.aten.arange, torch.ops.aten.linspace)


class _Pretended(torch.Tensor):
    """A tensor of the device; its numbers are those of a tensor on the host."""

    _host: torch.Tensor
    _taken: tuple[int, int]

    @staticmethod
    def __new__(cls, host: torch.Tensor) -> _Pretended:
        taken = _memory.take(host)
        made: _Pretended = torch.Tensor._make_wrapper_subclass(
            cls,
            host.shape,
            strides=host.stride(),
            storage_offset=host.storage_offset(),
            dtype=host.dtype,
            layout=host.layout,
            device=torch.device(PRETENDED, 0),
            requires_grad=host.requires_grad,
        )
        made._host, made._taken = host, taken
        return made

    def __del__(self) -> None:
        if _memory is not None:  # as it is while the interpreter ends
            _memory.free(*self._taken)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"{self._host!r} on {PRETENDED}"

    def tolist(self) -> Any:
        """Copy to the host, as a list."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Do an operation on the host, if a device could do it, and count it."""
        given = kwargs or {}
        name = function._schema.name.removeprefix("aten::")
        target = given.get("device")
        to_host = target is not None and torch.device(target).type == "cpu"
        crosses = name == "copy_" and not isinstance(args[0], _Pretended)
        brings = name == "copy_" and not isinstance(args[1], _Pretended)
        if not (to_host or crosses or brings) and name not in _INDEXING:
            _refuse_mixed(name, (args, given))
        _count(name, function, to_host or crosses, brings, args)
        done = _MATERIAL.get(name, function)
        result = done(*_on_host(args), **_on_host(given))
        if to_host:
            return result
        written = _written(function, args, given)
        if written is None:
            return _on_device(result)
        if isinstance(written, _Pretended) and written.shape != written._host.shape:
            raise NotImplementedError(f"{name}: a tensor of {PRETENDED} keeps its shape")
        return written


def _without_tensors(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Make a tensor on the device where no argument is one, as `torch.zeros` does."""
    name = function._schema.name.removeprefix("aten::")
    if not name.startswith("empty"):
        _count(name, function, False, False, args)
    with torch._C._DisableFuncTorch():
        return _on_device(function(*_on_host(args), **_on_host(kwargs)))


def _count(name: str, function: Any, to_host: bool, to_device: bool, args: Any) -> None:
    """Count an operation in all open counts."""
    waits = name == "_local_scalar_dense" or name in _UNKNOWN_SIZE
    if name in _INDEXING:
        indices = [index for index in tree_iter(args[1]) if isinstance(index, torch.Tensor)]
        waits = any(index.dtype in (torch.bool, torch.uint8) for index in indices)
        to_device = any(not isinstance(index, _Pretended) for index in indices)
    computes = not (function.is_view or waits or to_host or to_device)
    for traffic in _counting:
        traffic.launches[name] += computes and name not in _NO_KERNEL
        traffic.synchronisations += waits or to_host
        traffic.copies_to_host += to_host
        traffic.copies_to_device += to_device


def _refuse_mixed(name: str, arguments: Any) -> None:
    """Raise an error where an array of the host meets one of the device."""
    for one in tree_iter(arguments):
        if isinstance(one, torch.Tensor) and not isinstance(one, _Pretended) and one.ndim:
            raise DeviceMixError(
                f"{name}: an array {tuple(one.shape)} of {one.device} meets one of {PRETENDED}"
            )


def _on_host(arguments: Any) -> Any:
    """Replace tensors and names of the device by those of the host."""
    hosted = tree_map_only(_Pretended, lambda one: one._host, arguments)
    return tree_map_only(torch.device, lambda _: torch.device("cpu"), hosted)


def _on_device(result: Any) -> Any:
    """Replace tensors of the host by those of the device."""
    return tree_map_only(
        torch.Tensor, lambda one: one if isinstance(one, _Pretended) else _Pretended(one), result
    )


def _written(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Return the argument that an operation in place, or with ``out``, writes and returns."""
    schema = function._schema  # type: ignore[attr-defined]
    if len(schema.returns) != 1 or schema.returns[0].alias_info is None:
        return None
    if not schema.returns[0].alias_info.is_write:
        return None
    for index, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            return kwargs.get(argument.name) if argument.kwarg_only else args[index]
    return None
