"""The scorers of eviction, by the values of the parameter `eviction_scorer`.

CONTRIBUTING.md says how to add one.
"""

from timebill_ros.inference.cache.scorers.scorer import Scorer
from timebill_ros.inference.cache.scorers.snapkv import SnapKV
from timebill_ros.inference.cache.scorers.snapkv_lines import SnapKVLines
from timebill_ros.inference.cache.scorers.streaming_llm import StreamingLLM

SCORERS: dict[str, type[Scorer]] = {
    'snapkv': SnapKV,
    'snapkv_lines': SnapKVLines,
    'streaming_llm': StreamingLLM,
}
"""The scorers that the node can use. It uses the defaults of their settings."""
