"""A sequence of leaves: a tree of py_trees where that is installed, else a plain loop."""

from collections.abc import Callable, Sequence
from typing import Any

from timebill_ros.examples.leaves import Leaf, Status

try:
    import py_trees
except ImportError:
    py_trees = None

NOT_INSTALLED = (
    'py_trees is not installed (pip install py-trees): the leaves are ticked without a tree'
)


def is_installed() -> bool:
    """Return whether py_trees is used."""
    return py_trees is not None


def sequence(name: str, leaves: Sequence[Leaf]) -> Callable[[], Status]:
    """Return what ticks leaves, one after the other; RUNNING until the last one has succeeded.

    Arguments:
        name: of the sequence, in py_trees' logs and pictures.
        leaves: in their order.
    """
    return _tree(name, leaves) if is_installed() else _loop(leaves)


def _loop(leaves: Sequence[Leaf]) -> Callable[[], Status]:
    left = list(leaves)

    def tick() -> Status:
        while left and left[0].tick() is Status.SUCCESS:
            left.pop(0)
        return Status.RUNNING if left else Status.SUCCESS

    return tick


def _tree(name: str, leaves: Sequence[Leaf]) -> Callable[[], Status]:
    class TreeLeaf(py_trees.behaviour.Behaviour):
        """A leaf as a behaviour of py_trees."""

        def __init__(self, leaf: Leaf) -> None:
            super().__init__(type(leaf).__name__)
            self._leaf = leaf

        def update(self) -> Any:
            """Tick the leaf."""
            return py_trees.common.Status[self._leaf.tick().name]

    children = [TreeLeaf(leaf) for leaf in leaves]
    root = py_trees.composites.Sequence(name, memory=True, children=children)

    def tick() -> Status:
        root.tick_once()
        return Status[root.status.name]

    return tick
