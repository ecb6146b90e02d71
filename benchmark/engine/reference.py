"""What transformers finds in fp32."""

from typing import Any

from benchmark.engine.material import Material
from benchmark.engine.stage import Stage
from benchmark.engine.starts import own_starts

REFERENCE = 'transformers_fp32'


def exact(
    source: str, threads: int, given: Material, answer_tokens: int
) -> tuple[list[list[int]], list[dict[str, Any]]]:
    """Return its greedy answers, and what Stage.read() finds of the texts.

    Arguments:
        answer_tokens: of each answer; 0: none is asked for.

    Raises:
        ValueError: it fails; one sentence.
    """
    with Stage(own_starts([REFERENCE], source, threads)) as stage:
        prompts = given.prompts if answer_tokens else []
        answers, texts = stage.answers(prompts, answer_tokens), stage.read(given.texts)
        stage.need(REFERENCE)
    return answers.get(REFERENCE, []), texts[REFERENCE]
