"""The texts of the answered prompts. They are read again from their packages, never stored."""

from timebill_ros.training.length_data import LengthData
from timebill_ros.training.prompt_packages import all_fetched
from timebill_ros.training.prompt_set import prompt_set


def collected_texts(data: LengthData, seed: int) -> list[str]:
    """Return the prompts' texts, in the records' order.

    Arguments:
        seed: the seed with which they were collected.

    Raises:
        ValueError: a package is not available, or a prompt is not in the set; one sentence.
    """
    texts = {prompt.sha256: prompt.text for prompt in prompt_set(all_fetched(), seed)}
    missing = sum(record.sha256 not in texts for record in data.records)
    if missing:
        raise ValueError(
            f'{missing} of {len(data.records)} prompts are not in the set of seed {seed}: they '
            'were collected with another one'
        )
    return [texts[record.sha256] for record in data.records]
