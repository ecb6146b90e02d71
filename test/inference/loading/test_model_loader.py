"""Models by name, file and folder; and what is said of those that cannot be loaded."""

import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, Phi3Config, Phi3ForCausalLM, Qwen2ForCausalLM

from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.loading.model_loader import BUILT_IN, TargetModel, load_target
from timebill_ros.inference.loading.prepacked_linear import PrepackedLinear, prepack


def test_the_built_in_model_knows_its_end_and_its_penalty(built_in: TargetModel) -> None:
    assert built_in.stop_token_ids == {2}
    assert built_in.context_length == 8192
    assert built_in.repetition_penalty == 1.05


def test_a_folder_of_another_family_loads_and_decodes_as_generate_does(qwen2: Path) -> None:
    target = load_target(str(qwen2), device='cpu', dtype='float32')
    assert target.context_length == 512
    assert target.repetition_penalty == 1.0
    ids = ChatPrompt(target.tokenizer).token_ids('Go to the dock.')
    never = Interrupt(Deadline(math.inf))
    engine = Engine(target, DecodingSettings(stop_at_repetition=False))
    ours = [token for token, _ in engine.decode(engine.prefill(ids, 20, never), 20, never)]
    reference = Qwen2ForCausalLM.from_pretrained(qwen2).eval()
    theirs = reference.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=20)
    assert ours == theirs[0, len(ids) :].tolist()


def test_other_weights_have_another_hash(qwen2: Path) -> None:
    before = load_target(str(qwen2), device='cpu').weights_hash
    assert load_target(str(qwen2), device='cpu').weights_hash == before
    model = Qwen2ForCausalLM.from_pretrained(qwen2)
    with torch.no_grad():
        model.model.norm.weight += 1
    model.save_pretrained(qwen2)
    assert load_target(str(qwen2), device='cpu').weights_hash != before


@pytest.mark.parametrize(
    ('source', 'words'),
    [
        ('/nowhere/model.gguf', "model '/nowhere/model.gguf' does not exist"),
        ('no-such-name', "model 'no-such-name' does not exist"),
        (__file__, 'not a .gguf one'),
        (' ', 'model must not be empty'),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(source: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace('.', r'\.')):
        load_target(source)


def test_a_broken_gguf_is_said_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / 'broken.gguf'
    path.write_bytes(b'GGUF' + bytes(100))
    with pytest.raises(ValueError, match=r'broken.gguf.* cannot be loaded: .') as raised:
        load_target(str(path))
    assert '\n' not in str(raised.value)


def test_pickled_weights_are_not_read(qwen2: Path) -> None:
    (qwen2 / 'model.safetensors').unlink()
    torch.save({}, qwen2 / 'pytorch_model.bin')
    with pytest.raises(ValueError, match='cannot be loaded'):
        load_target(str(qwen2), device='cpu')


def test_a_model_without_chat_template_is_refused(qwen2: Path) -> None:
    (qwen2 / 'chat_template.jinja').unlink()
    with pytest.raises(ValueError, match='has no chat template: set chat_template to a file'):
        load_target(str(qwen2), device='cpu')


def test_a_chat_template_from_a_file_takes_the_place_of_the_models_own(qwen2: Path) -> None:
    template = '{% for m in messages %}Q: {{ m.content }}\nÄ:{% endfor %}'
    path = qwen2 / 'mine.jinja'
    path.write_bytes(b'\xef\xbb\xbf' + template.encode())  # with a byte order mark
    for _ in range(2):
        target = load_target(str(qwen2), device='cpu', chat_template=str(path))
        assert target.tokenizer.chat_template == template
        (qwen2 / 'chat_template.jinja').unlink(missing_ok=True)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (None, 'cannot be read: No such file'),
        (b'\xff\xfe', 'is not a text file in UTF-8'),
        (b' \n', 'is empty'),
    ],
)
def test_a_chat_template_that_is_none_is_refused_before_the_model_is_loaded(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / 'template.jinja'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^chat_template '{path}' {words}") as raised:
        load_target('/nowhere', chat_template=str(path))
    assert '\n' not in str(raised.value)


def test_longrope_is_served_up_to_its_original_length(qwen2: Path, caplog) -> None:
    config = Phi3Config(
        vocab_size=49152,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        original_max_position_embeddings=64,
        pad_token_id=2,
        rope_parameters={
            'rope_type': 'longrope',
            'rope_theta': 1e4,
            'short_factor': [1.0] * 4,
            'long_factor': [1.0, 2.0, 3.0, 4.0],
        },
    )
    Phi3ForCausalLM(config).save_pretrained(qwen2)
    target = load_target(str(qwen2), device='cpu', dtype='float32')
    assert target.context_length == 64
    assert 'served up to 64 of its 256 tokens' in caplog.text
    with pytest.raises(ValueError, match='at most 64 tokens, got 70'):
        Engine(target, DecodingSettings()).prefill([5] * 60, 10, Interrupt(Deadline(math.inf)))


@pytest.mark.parametrize('device', ['cuda:99', 'nonsense', 'meta'])
def test_a_device_that_is_not_there_is_said(device: str) -> None:
    with pytest.raises(ValueError, match='device'):
        load_target(BUILT_IN, device=device)


def test_what_the_compiled_library_reads_has_no_second_copy(built_in: TargetModel) -> None:
    for target in (built_in, load_target(BUILT_IN, device='cpu', quantization='none')):
        modules = list(target.model.modules())
        assert not any(isinstance(module, PrepackedLinear) for module in modules)
        plain = any(isinstance(module, torch.nn.Linear) for module in modules)
        assert plain == (target is not built_in)


def test_prepacked_layers_give_the_plain_ones_logits() -> None:
    target = load_target(BUILT_IN, device='cpu')
    if target.dtype != torch.bfloat16:
        pytest.skip('this machine does not compute in bf16')
    prepack(target.model)
    assert isinstance(target.model.model.layers[0].mlp.gate_proj, PrepackedLinear)
    plain = AutoModelForCausalLM.from_pretrained(
        load_target(BUILT_IN, device='cpu', quantization='none').model.config._name_or_path,
        dtype=torch.bfloat16,
    ).eval()
    for tokens in (1, 3, 200):
        ids = torch.arange(300, 300 + tokens)[None]
        with torch.inference_mode():
            found, expected = target.model(ids).logits, plain(ids).logits
        assert (found - expected).float().norm() / expected.float().norm() < 2e-2
