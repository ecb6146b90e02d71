"""Tells what a machine lacks for this benchmark, in one sentence."""

import importlib.util
from collections.abc import Sequence

NEEDED = (
    'torch',
    'transformers',
    'gguf',
    'huggingface_hub',
    'llguidance',
    'numpy',
    'platformdirs',
    'psutil',
    'safetensors',
    'tabulate',
    'tokenizers',
    'tqdm',
)


def missing(packages: Sequence[str] = NEEDED) -> str:
    """Return which packages are not there, and whether torch sees no GPU; '' if nothing lacks."""
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    if absent:
        return f'{", ".join(absent)} cannot be imported: pip install {" ".join(absent)}'
    import torch  # seconds

    if not torch.cuda.is_available():
        return (
            f'torch {torch.__version__} sees no CUDA device: run it on a machine with an NVIDIA '
            'GPU, with a torch that is built for CUDA'
        )
    return ''
