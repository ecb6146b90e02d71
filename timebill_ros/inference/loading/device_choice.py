"""From the parameters `device` and `dtype` to what torch calls them."""

from pathlib import Path

import torch


def choose_device(device: str) -> torch.device:
    """Return a device, which is this thread's current one from then on.

    Arguments:
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        ValueError: it is none of these, or not there; one sentence.
    """
    if device == 'auto':
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ValueError(
            f"device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got {device!r}"
        ) from None
    if chosen.type not in ('cpu', 'cuda'):
        raise ValueError(f"device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got {device!r}")
    if chosen.type == 'cpu':
        return chosen
    index = chosen.index or 0
    if index >= torch.cuda.device_count():
        raise ValueError(
            f'device {device!r} is not there: torch sees {torch.cuda.device_count()} GPUs'
        )
    # Streams, events and graphs that are made on this thread belong to it.
    torch.cuda.set_device(index)
    return torch.device('cuda', index)


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """Return a number format; 'auto': 16 bits where the device computes in them."""
    if dtype != 'auto':
        return {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}[
            dtype
        ]
    if device.type == 'cuda':
        # Older GPUs emulate bf16, which torch calls supported, in fp32; in fp16 they compute.
        has_bf16 = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if has_bf16 else torch.float16
    # Without the instructions bf16 is emulated, and far slower than fp32.
    flags = Path('/proc/cpuinfo').read_text(errors='replace')
    return torch.bfloat16 if 'avx512_bf16' in flags or ' bf16' in flags else torch.float32
