"""The scorers of eviction, by the values of the parameter `eviction_scorer`.

To add one, write a file here, name its class below, and name it among the parameter's choices in
core/model_settings.py, which the node reads without loading torch. Then run `make docs`.
"""

from timebill_ros.inference.cache.scorers.scorer import Scorer
from timebill_ros.inference.cache.scorers.snapkv import SnapKV
from timebill_ros.inference.cache.scorers.streaming_llm import StreamingLLM

SCORERS: dict[str, type[Scorer]] = {
    'snapkv': SnapKV,
    'streaming_llm': StreamingLLM,
}
"""What the package serves with, each with its own defaults."""
