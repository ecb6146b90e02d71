"""virtualhome-eval's grader: runs a plan in its graph simulator, then checks the goals.

The package is optional: requirements-bench.txt installs it.
"""

import importlib.util
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

_ALREADY_SO = 4
"""The simulator's error for a step whose effect holds already; the plan goes on without it."""
Plan = dict[str, list[str]]
"""Objects by action, in order."""


def is_installed() -> bool:
    """Return whether plans can be run."""
    return importlib.util.find_spec('virtualhome_eval') is not None


class HouseholdSimulator:
    """Grades answers to the prompts of virtualhome-eval's action_sequence, as the package does."""

    def can_be_met(self, identifier: str) -> bool:
        """Return whether the data set's own plan meets a prompt's goals in the simulator."""
        planner, (states, relations, _) = self._planner(identifier), self._goals(identifier)
        return bool(
            self._grader.scene_evaluate_wID(
                planner.final_state_dict, states, relations, planner.acting_char_id
            )[3]
        )

    def goals_met(self, identifier: str, answer: str) -> float:
        """Return the share of a prompt's goals that hold when the answer's plan has been run.

        A plan ends at the first step that cannot be done. One that is not JSON, names an action or
        an object that does not exist, gives an action the wrong number of objects, or has no step
        that can be done, is worth nothing.

        Arguments:
            identifier: the prompt's.
            answer: '{"WALK": ["home_office"], ...}', perhaps with words around it.
        """
        planner, goals = self._planner(identifier), self._goals(identifier)
        done = []
        for step in self._steps(planner, goals, parsed(answer)):
            try:
                is_done, error = planner.my_execute_primitive_action_eval(step)
            except TypeError:  # Of 0.1.1, for an action that its simulator does not have.
                break
            if is_done:
                done.append(step)
            elif error.get_error_type() != _ALREADY_SO:
                break
        if not done:
            return 0.0
        states, relations, actions = goals
        met = self._grader.scene_evaluate_wID(
            planner.env_state.to_dict(),
            states,
            relations,
            planner.acting_char_id,
            action_seq=done,
            action_goals=actions,
        )[:3]
        return float(sum(met)) / sum(len(kind) for kind in goals)

    def _steps(self, planner: Any, goals: Sequence[Any], plan: Plan) -> list[str]:
        """Return a plan's steps as the simulator reads them; none if they are not in order."""
        states, relations, actions = goals
        ids = planner.get_symbolic_goal_nl(states, relations, action_goals=actions)[-1]
        planner.reset()
        grader = self._grader
        is_valid = (
            grader.check_no_hallucination_in_action(plan)
            and grader.check_no_hallucination_in_arg(plan, ids)
            and grader.check_action_grammar(plan)[0]
        )
        return list(grader.json_to_action(plan, relevant_name_to_id=ids)) if is_valid else []

    def _planner(self, identifier: str) -> Any:
        programs = self._folder / 'dataset' / 'programs_processed_precond_nograb_morepreconds'
        utils = self._grader.utils
        return self._grader.construct_planner(
            utils.load_name_equivalence(),
            utils.load_properties_data(),
            utils.load_object_placing(),
            script_id=identifier,
            dataset_root=str(programs),
        )[0]

    def _goals(self, identifier: str) -> tuple[list[Any], list[Any], list[str]]:
        """Return the states, relations and actions that a prompt asks for."""
        wanted = self._all_goals[self._tasks[identifier]][identifier]['vh_goal']
        scene = self._grader.remove_duplicate_dicts(wanted['goal'])
        states = [goal for goal in scene if 'state' in goal]
        relations = [goal for goal in scene if 'relation_type' in goal]
        return states, relations, list(dict.fromkeys(wanted['actions']))

    @cached_property
    def _grader(self) -> Any:
        from virtualhome_eval.simulation.evolving_graph import eval_utils

        return eval_utils

    @cached_property
    def _folder(self) -> Path:
        return Path(self._grader.__file__).parents[2]

    @cached_property
    def _tasks(self) -> dict[str, str]:
        return dict(self._resource('id2task.json'))

    @cached_property
    def _all_goals(self) -> dict[str, Any]:
        return dict(self._resource('task_state_LTL_formula_accurate.json')['scene_1'])

    def _resource(self, name: str) -> Any:
        return json.loads((self._folder / 'resources' / 'virtualhome' / name).read_text())


def parsed(answer: str) -> Plan:
    """Return the plan in an answer; an empty one if there is none that is whole."""
    begin, end = answer.find('{'), answer.rfind('}')
    try:
        plan = json.loads(answer[begin : end + 1].replace("'", '"')) if begin >= 0 else None
    except json.JSONDecodeError:
        return {}
    if not isinstance(plan, dict):
        return {}
    for objects in plan.values():
        if not (isinstance(objects, list) and all(isinstance(name, str) for name in objects)):
            return {}
    return {action.upper(): objects for action, objects in plan.items()}
