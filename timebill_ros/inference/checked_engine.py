"""An engine that has shown that it computes its model right; the verdict is kept on disk."""

import hashlib
import json
import logging
import platform
from dataclasses import asdict, replace
from pathlib import Path

import torch
import transformers

from timebill_ros.core.atomic_file import write_json
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.loading.cache_folder import cache_folder
from timebill_ros.inference.loading.prepacked_linear import prepack
from timebill_ros.inference.reference_attention import use_attention
from timebill_ros.inference.self_check import Verdict, self_check
from timebill_ros.inference.step.generic_step import GenericStep
from timebill_ros.inference.step.native_step import NativeStep
from timebill_ros.inference.step.step_costs import step_costs


def checked_engine(engine: Engine, speculates: bool = True) -> Engine:
    """Return an engine that serves the same model as its self-check allows.

    The check runs once for a model on a machine; later starts read its verdict.

    Arguments:
        engine: used by no one else meanwhile; its model is changed in place.
        speculates: as for Engine.

    Raises:
        ValueError: no way of computing the model is right; one sentence.
    """
    path = cache_folder() / 'profiles' / f'check-{_key(engine)}.json'
    verdict = _known(path)
    if verdict is None:
        verdict = self_check(engine)
        if verdict.attention:  # a refusal may be for want of memory, and is found anew
            _keep(verdict, path)
    target = engine.target
    name = type(target.model).__name__
    if not verdict.attention:
        raise ValueError(
            f'model {target.name!r} cannot be served: its class {name} {verdict.reason}'
        )
    use_attention(target.model, verdict.attention)
    if not verdict.evicts:
        logging.warning(
            'model %r is served without eviction: its class %s %s',
            target.name,
            name,
            verdict.reason,
        )
    elif verdict.step != engine.step.name:
        logging.warning(
            'model %r is served by a slower step: its class %s %s',
            target.name,
            name,
            verdict.reason,
        )
    step = engine.step if engine.step.name == verdict.step else GenericStep(target.model)
    if isinstance(step, GenericStep):
        prepack(target.model)  # what was left to the compiled library
    elif isinstance(step, NativeStep):
        step.costs = step_costs(step, target.model)
    target = replace(target, evicts=verdict.evicts)
    return Engine(target, engine.settings, engine.scorer, step, speculates)


def _keep(verdict: Verdict, path: Path) -> None:
    try:
        write_json(path, asdict(verdict))
    except OSError as error:
        logging.warning('the self-check is not kept, and will be repeated: %s', error)


def _known(path: Path) -> Verdict | None:
    try:
        return Verdict(**json.loads(path.read_text(encoding='utf-8')))
    except (OSError, ValueError, TypeError):
        return None


def _key(engine: Engine) -> str:
    """Return a hash of all that the verdict depends on, this package's own code included."""
    target = engine.target
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob('*.py')):
        digest.update(path.read_bytes())
    for part in (
        target.weights_hash,
        type(target.model).__name__,
        target.model.config.to_json_string(),
        target.model.config._attn_implementation,
        str(target.device),
        str(target.dtype),
        target.quantization,
        engine.step.name,
        str(engine.scorer),
        platform.machine(),
        torch.__version__,
        transformers.__version__,
    ):
        digest.update(f'{part}\n'.encode())
    return digest.hexdigest()[:20]
