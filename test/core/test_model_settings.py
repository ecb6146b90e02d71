"""What is checked of the model's parameters when they are set."""

import pytest

from timebill_ros.core.model_settings import ModelSettings


def test_arguments_of_the_template_are_a_json_object() -> None:
    assert ModelSettings().template_arguments() == {}
    settings = ModelSettings(chat_template_arguments='{"enable_thinking": false, "level": 2}')
    assert settings.template_arguments() == {'enable_thinking': False, 'level': 2}


@pytest.mark.parametrize(
    'text', ['', 'enable_thinking: false', '[1]', 'null', '{"a": ', '[' * 9999]
)
def test_what_is_no_json_object_is_refused_when_it_is_set(text: str) -> None:
    with pytest.raises(ValueError, match='chat_template_arguments must be a JSON object, got'):
        ModelSettings().with_values({'chat_template_arguments': text})
