"""From a query and what is known of its cost to a plan. Pure: no clock, no model."""

from timebill_ros.core.plan import Plan


class BudgetPlanner:
    """Chooses how much of the KV cache to evict. Without a time model: nothing."""

    def plan(self, prompt_tokens: int, max_new_tokens: int) -> Plan:
        """Plan a query.

        Arguments:
            prompt_tokens: N_x, length of the prompt with the chat template applied.
            max_new_tokens: N_max, upper bound of the response's length.
        """
        return Plan(kept_tokens=prompt_tokens, max_new_tokens=max_new_tokens)
