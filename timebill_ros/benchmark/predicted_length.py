"""How long the benchmark's answers are predicted to be: the one place that knows the predictor."""

from timebill_ros.core.length_predictor import LongestResponse
from timebill_ros.inference.engine import Engine

PREDICTOR = 'longest'
"""Which predictor it is: recordings of another one are kept apart."""


def predicted_tokens(engine: Engine, prompt: str, prompt_tokens: int, max_new_tokens: int) -> int:
    """Return N_hat, as the node would have it [tokens].

    Arguments:
        engine: of the target that the prediction is for.
        prompt, prompt_tokens, max_new_tokens: as for LengthPredictor.predict.
    """
    return LongestResponse().predict(prompt, prompt_tokens, max_new_tokens)
