"""The engines that ours is compared with, each in an environment of its own."""

import os
from dataclasses import dataclass
from pathlib import Path

from timebill_ros.inference.loading.cache_folder import cache_folder
from timebill_ros.inference.loading.gguf_cache import gguf_hash
from timebill_ros.inference.loading.model_source import BUILT_IN, locate

_ARMS = Path(__file__).parent / 'peers'
_OURS_ONLY = ('PYTHONPATH', 'LD_LIBRARY_PATH', 'AMENT_PREFIX_PATH', 'CMAKE_PREFIX_PATH')
_OF_MAKE = ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL')


@dataclass(frozen=True)
class Peer:
    """An engine.

    Arguments:
        name: of its arm.
        requirements: what its environment has.
        built: the one of them that is built from its source, for this CPU.
        adds: paths and texts of files that its source package lacks, and cannot be built without.
        without: what its packages need for other models only, and what does not go with our torch.
        reads_files: it loads any GGUF file; else only what is exported for it.
        alternatives: last arguments of its arm, the fastest first: one that dies is not used.
    """

    name: str
    requirements: tuple[str, ...]
    built: str = ''
    adds: tuple[tuple[str, str], ...] = ()
    without: tuple[str, ...] = ()
    reads_files: bool = True
    alternatives: tuple[tuple[str, ...], ...] = ((),)

    @property
    def folder(self) -> Path:
        """Where its environment is, in the user's cache."""
        return peers_folder() / self.name

    @property
    def python(self) -> str:
        """The environment's interpreter."""
        return str(self.folder / 'bin' / 'python')

    @property
    def complete(self) -> Path:
        """A file in a whole environment, with what was asked for."""
        return self.folder / 'complete'

    def commands(self, python: str, model: Path, context: int, threads: int) -> list[list[str]]:
        """Return command lines of its arm, to be tried in turn.

        Arguments:
            python: an interpreter that has the engine.
            model: what it loads.
            context: prompt and answer have at most so many tokens.
        """
        command = [python, '-m', 'peer_arm', self.name, str(model), str(context), str(threads)]
        return [[*command, *last] for last in self.alternatives]


PEERS = (
    Peer(
        'llama_cpp',
        ('llama-cpp-python==0.3.36',),
        'llama-cpp-python',
        alternatives=((), ('plain',)),
    ),
    # Its wheel has no AVX-512.
    Peer(
        'ik_llama_cpp',
        ('ik-llama-cpp-python==0.1.5',),
        'ik-llama-cpp-python',
        adds=(
            (
                'vendor/ik_llama.cpp/common/cmake/build-info-gen-cpp.cmake',
                'set(BUILD_NUMBER 0)\n'
                'configure_file(common/build-info.cpp.in common/build-info.cpp)\n',
            ),
        ),
    ),
    Peer(
        'openvino',
        (
            'openvino-genai==2026.4.1',
            'optimum-intel==2.2.0',
            'nncf==3.4.0',
            'torch==2.13.0',
            'transformers==5.5.4',
        ),
        without=('torchvision',),
        reads_files=False,
    ),
)


def peers_folder() -> Path:
    """Return where the environments are."""
    return cache_folder() / 'peers'


def openvino_model() -> Path:
    """Return where the built-in model is, exported for OpenVINO."""
    return peers_folder() / f'openvino-{BUILT_IN}-{gguf_hash(locate(BUILT_IN))[:16]}-int4'


def environment_of_peers() -> dict[str, str]:
    """Return the variables for another interpreter: it finds `peer_arm`, and nothing of ours."""
    theirs = {
        name: value for name, value in os.environ.items() if name not in (*_OURS_ONLY, *_OF_MAKE)
    }
    return {**theirs, 'PYTHONPATH': str(_ARMS)}
