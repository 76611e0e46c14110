from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DataError
from engine.score.fields import FieldRule
from engine.score.folder import ModelFolder, inspect_folder
from engine.score.opening import Opening
from engine.score.pictures import PictureLimits

OUTPUTS = {"adult": "ADULT", "scam": "SCAM"}
Rewrite = Callable[..., None]


def refusal(folder: Path, outputs: dict[str, str] = OUTPUTS, max_length: int | None = None) -> str:
    """Return the faults of a folder that is refused, one a line, each of which names the folder."""
    with pytest.raises(DataError) as caught:
        inspect_folder(folder, outputs, max_length)
    assert all(str(folder) in fault and "\n" not in fault for fault in caught.value.faults)
    return str(caught.value)


def test_a_sound_folder_tells_its_facts(tiny: Path) -> None:
    folder = inspect_folder(tiny, OUTPUTS)
    assert folder.architecture == "BertForSequenceClassification"
    assert folder.labels == ("COMPLIANT", "SCAM", "ADULT")
    assert folder.outputs == (("adult", 2), ("scam", 1))
    assert folder.policies == ("adult", "scam")
    assert (folder.activation, folder.max_length) == ("softmax", 40)
    assert [name for name, _ in folder.files] == [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    ]
    assert [name for name, _ in folder.tokenizer_files] == ["tokenizer.json", "tokenizer_config.json"]


def test_inspecting_a_folder_loads_neither_torch_nor_transformers(tiny: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import engine.score.open, engine.score.probe\n"
        "from engine.score.folder import inspect_folder\n"
        f"inspect_folder(Path({str(tiny)!r}), {OUTPUTS!r})\n"
        "assert not {'torch', 'transformers', 'tokenizers', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "no such model folder" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_missing_file_is_refused_by_name(broken: Path, name: str) -> None:
    (broken / name).unlink()
    assert f"{name} is missing" in refusal(broken)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000, b"[]"])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_file_that_is_no_json_object_is_refused(broken: Path, name: str, content: bytes) -> None:
    (broken / name).write_bytes(content)
    assert name in refusal(broken)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "training_args.bin", "a.PT", "old/weights.pkl", "tf.h5"])
def test_pickles_are_refused_even_beside_safetensors(broken: Path, name: str) -> None:
    (broken / name).parent.mkdir(exist_ok=True)
    (broken / name).write_bytes(b"cos\nsystem\n")
    assert f"{name} may hold pickled code" in refusal(broken)
    (broken / "model.safetensors").unlink()
    assert f"{name} may hold pickled code" in refusal(broken)


def test_code_in_the_folder_is_refused(broken: Path) -> None:
    (broken / "modeling_mine.py").write_text("raise SystemExit")
    assert "modeling_mine.py is code" in refusal(broken)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_folder_that_asks_for_its_own_code_is_refused(broken: Path, rewrite: Rewrite, name: str) -> None:
    rewrite(broken / name, auto_map={"AutoModel": "mine.Model"})
    assert f"{name} has auto_map" in refusal(broken)


@pytest.mark.parametrize("key", ["quantization_config", "transformers_weights"])
def test_weights_that_are_not_what_they_seem_are_refused(broken: Path, rewrite: Rewrite, key: str) -> None:
    rewrite(broken / "config.json", **{key: "elsewhere"})
    assert key in refusal(broken)


def test_an_adapter_is_refused(broken: Path) -> None:
    (broken / "adapter_config.json").write_text("{}")
    assert "adapter of another model" in refusal(broken)


@pytest.mark.parametrize("named", [None, [], ["BertModel"], ["BertForMaskedLM"], "BertForSequenceClassification"])
def test_another_architecture_is_refused(broken: Path, rewrite: Rewrite, named: Any) -> None:
    rewrite(broken / "config.json", architectures=named)
    assert "ForSequenceClassification" in refusal(broken)


def test_a_regression_is_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "config.json", problem_type="regression")
    assert "regression" in refusal(broken)


def test_every_fault_of_a_folder_is_told_at_once(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "config.json", auto_map={}, architectures=["BertModel"])
    (broken / "mine.py").touch()
    assert len(refusal(broken, {"scam": "SKAM"}).splitlines()) == 4


def test_an_unknown_label_is_refused_with_the_nearest_name(tiny: Path) -> None:
    assert 'outputs.scam: the model has no label "SCAN" (did you mean "SCAM"?)' in refusal(tiny, {"scam": "SCAN"})


def test_a_label_that_several_outputs_share_is_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "config.json", id2label={"0": "X", "1": "SCAM", "2": "SCAM"})
    assert "several labels" in refusal(broken, {"scam": "SCAM"})


def test_labels_with_a_gap_are_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "config.json", id2label={"0": "A", "2": "B"})
    assert "number them from 0" in refusal(broken)


def test_labels_that_the_config_leaves_out_are_label_0_and_label_1(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "config.json", id2label=None, label2id=None)
    assert "holds no classification head of 2 rows" in refusal(broken, {"scam": "LABEL_1"})
    assert "known: LABEL_0, LABEL_1" in refusal(broken, {"scam": "ADULT_CONTENT"})


def test_more_labels_than_the_head_has_rows_are_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "config.json", id2label={str(i): label for i, label in enumerate("ABCD")})
    assert "no classification head of 4 rows" in refusal(broken, {"scam": "A"})


def test_a_tokenizer_with_more_tokens_than_the_embedding_is_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "config.json", vocab_size=7)
    assert "token ids up to" in refusal(broken)


def test_a_tokenizer_without_a_vocabulary_is_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "tokenizer.json", model={"type": "WordLevel"})
    assert "has no vocabulary" in refusal(broken)


def test_max_length_above_the_positions_is_refused(tiny: Path) -> None:
    assert inspect_folder(tiny, OUTPUTS, 64).max_length == 64
    assert "max_length 65 is above the 64 positions" in refusal(tiny, max_length=65)


def test_max_length_defaults_to_the_smaller_limit(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "tokenizer_config.json", model_max_length=int(1e30))
    assert inspect_folder(broken, OUTPUTS).max_length == 64
    rewrite(broken / "config.json", model_type="roberta", pad_token_id=1)
    assert inspect_folder(broken, OUTPUTS).max_length == 62
    rewrite(broken / "config.json", max_position_embeddings=None)
    assert inspect_folder(broken, OUTPUTS).max_length == 512


@pytest.mark.parametrize(
    ("labels", "problem", "activation"),
    [
        (3, "multi_label_classification", "sigmoid"),
        (3, "single_label_classification", "softmax"),
    ],
)
def test_the_activation_follows_the_problem_type(
    broken: Path, rewrite: Rewrite, labels: int, problem: str, activation: str
) -> None:
    rewrite(broken / "config.json", problem_type=problem)
    assert inspect_folder(broken, OUTPUTS).activation == activation
    assert len(inspect_folder(broken, OUTPUTS).labels) == labels


def test_a_fingerprint_does_not_depend_on_where_the_folder_lies(tiny: Path, broken: Path) -> None:
    here, there = (Opening(inspect_folder(path, OUTPUTS), columns=2).fingerprint() for path in (tiny, broken))
    assert here == there
    assert len(here) == 64


@pytest.mark.parametrize(
    "other",
    [
        {"columns": 1},
        {"fields": FieldRule(" ")},
        {"fields": FieldRule(template=(0, " x ", 1))},
        {"fields": FieldRule(apart="max")},
        {"dtype": "bfloat16"},
    ],
)
def test_every_setting_changes_the_fingerprint(tiny: Path, other: dict[str, Any]) -> None:
    opening = Opening(inspect_folder(tiny, OUTPUTS), columns=2)
    assert opening.fingerprint() != replace(opening, **other).fingerprint()


@pytest.mark.parametrize("other", [{"device": "cuda"}, {"threads": 2}, {"limits": PictureLimits(bytes=1)}])
def test_where_a_text_model_runs_and_what_pictures_may_cost_is_no_part_of_it(tiny: Path, other: dict[str, Any]) -> None:
    opening = Opening(inspect_folder(tiny, OUTPUTS), columns=2)
    assert opening.fingerprint() == replace(opening, **other).fingerprint()


def test_max_length_and_activation_change_the_fingerprint_and_the_names_of_policies_do_not(tiny: Path) -> None:
    folder = inspect_folder(tiny, OUTPUTS)
    others: list[ModelFolder] = [replace(folder, max_length=39), replace(folder, activation="sigmoid")]
    assert len({Opening(each).fingerprint() for each in (folder, *others)}) == 3
    renamed = replace(folder, outputs=tuple((f"other {policy}", at) for policy, at in folder.outputs))
    assert Opening(renamed).fingerprint() == Opening(folder).fingerprint()
    assert Opening(renamed).label_columns == Opening(folder).label_columns


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
def test_one_byte_of_any_file_changes_the_fingerprint(tiny: Path, broken: Path, name: str) -> None:
    content = (broken / name).read_bytes()
    if name == "model.safetensors":
        changed = content[:-1] + bytes([content[-1] ^ 1])
    else:
        changed = json.dumps(json.loads(content) | {"mark": 1}).encode()
    (broken / name).write_bytes(changed)
    prints = {Opening(inspect_folder(path, OUTPUTS)).fingerprint() for path in (tiny, broken)}
    assert len(prints) == 2
