"""The texts of the prompts that were answered: read from their packages again, kept nowhere."""

from timebill_ros.training.length_data import LengthData
from timebill_ros.training.prompt_packages import all_fetched
from timebill_ros.training.prompt_set import prompt_set


def collected_texts(data: LengthData, seed: int) -> list[str]:
    """Return the prompts' texts, in the records' order.

    Arguments:
        seed: with which they were collected.

    Raises:
        ValueError: a package cannot be had, or a prompt is not in the set; one sentence.
    """
    texts = {prompt.sha256: prompt.text for prompt in prompt_set(all_fetched(), seed)}
    missing = sum(record.sha256 not in texts for record in data.records)
    if missing:
        raise ValueError(
            f'{missing} of {len(data.records)} prompts are not in the set of seed {seed}: they '
            'were collected with another one'
        )
    return [texts[record.sha256] for record in data.records]
