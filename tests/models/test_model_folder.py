"""A saved model comes back as it was; a folder that lies is refused."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from qpi_kernels.models.folder import KernelModel, ModelFormatError, read_model, write_model
from qpi_kernels.models.folder_files import file_digest
from qpi_kernels.models.networks import (
    ObservationEncoder,
    OneStepNetwork,
    make_kernel_vae,
    observation_channels,
)
from qpi_kernels.models.presets import PRESETS, ModelPreset

TINY = ModelPreset(name="compact", channels=(8, 8, 8, 8), layers=1, groups=4)
WEIGHTS = "diffusion_pytorch_model.safetensors"


def two_step() -> KernelModel:
    torch.manual_seed(0)
    networks = {
        "kernel_vae": make_kernel_vae(TINY).eval(),
        "observation_encoder": ObservationEncoder.of_preset(TINY).eval(),
    }
    return KernelModel("two_step", TINY.representation, networks, metrics={"rmse": 0.1})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", two_step(), "# A card\n")


def maps() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(2, 1, 64, 64, generator=generator),
        (torch.rand(2, 1, 64, 64, generator=generator) > 0.99).float(),
    )


@torch.no_grad()
def predicted(model: KernelModel) -> torch.Tensor:
    seen = observation_channels(*maps(), model.inputs)
    return model.kernel(model.latent(seen).mean)


def edit_index(folder: Path, **changes: object) -> None:
    path = folder / "model_index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_model_comes_back(tmp_path: Path) -> None:
    model = two_step()
    exact = read_model(write_model(tmp_path / "exact", model, "card", half=False))
    halved = read_model(write_model(tmp_path / "half", model, "card"))
    weights = [each.networks["kernel_vae"].state_dict() for each in (model, exact)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    torch.testing.assert_close(predicted(exact), predicted(model), rtol=1e-4, atol=1e-4)
    away = (predicted(halved) - predicted(model)).norm() / predicted(model).norm()
    assert 0 < float(away) < 5e-2
    assert halved.metrics == {"rmse": 0.1}
    assert halved.digest
    assert halved.digest != exact.digest


def test_the_baseline_comes_back(tmp_path: Path) -> None:
    networks = {"one_step": OneStepNetwork.of_preset(TINY).eval()}
    model = KernelModel("one_step", TINY.representation, networks)
    again = read_model(write_model(tmp_path / "model", model, "card", half=False))
    torch.testing.assert_close(predicted(again), predicted(model), rtol=1e-4, atol=1e-4)


def test_a_folder_with_something_in_it_is_not_replaced(folder: Path) -> None:
    with pytest.raises(FileExistsError, match="choose another folder"):
        write_model(folder, two_step(), "card")


class Exploit:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code of the folder was run')",)


@pytest.mark.parametrize(
    "name",
    [
        "kernel_vae/pytorch_model.bin",
        "extra.pt",
        "modeling.py",
        "kernel_vae/picture.png",
        "kernel_vae/other.safetensors",
        "one_step/config.json",
        "other.json",
    ],
)
def test_pickles_and_scripts_are_refused(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps(Exploit()))
    with pytest.raises(ModelFormatError, match="does not belong"):
        read_model(folder)


@pytest.mark.parametrize(
    "name",
    [
        ".gitattributes",
        ".git/objects/12.pack",
        ".cache/huggingface/download/model_index.json.metadata",
        "kernel_vae/.DS_Store",
        "kernel.png",
        "LICENSE.txt",
    ],
)
def test_what_tools_leave_and_pictures_may_lie_there(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"anything")
    assert read_model(folder).digest


@pytest.mark.parametrize("name", ["model_index.json", f"kernel_vae/{WEIGHTS}", "kernel_vae"])
def test_links_are_refused(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelFormatError, match="is a link"):
        read_model(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
@pytest.mark.timeout(10)
def test_a_pipe_is_not_opened(folder: Path) -> None:
    (folder / "model_index.json").unlink()
    os.mkfifo(folder / "model_index.json")
    with pytest.raises(ModelFormatError, match="no plain file"):
        read_model(folder)


@pytest.mark.parametrize("name", ["model_index.json", "kernel_vae/config.json"])
def test_json_of_any_depth_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_text('{"a":' + "[" * 200_000)
    if name != "model_index.json":
        resign(folder, name)
    with pytest.raises(ModelFormatError, match="is not JSON"):
        read_model(folder)


def test_a_pickle_under_the_name_of_weights_is_refused(folder: Path) -> None:
    path = folder / "kernel_vae" / WEIGHTS
    path.write_bytes(pickle.dumps(Exploit()))
    with pytest.raises(ModelFormatError, match="SHA-256 differs"):
        read_model(folder)


def resign(folder: Path, name: str) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index["sha256"][name] = file_digest(folder / name)
    edit_index(folder, sha256=index["sha256"])


def test_a_signed_pickle_is_refused_too(folder: Path) -> None:
    name = f"kernel_vae/{WEIGHTS}"
    (folder / name).write_bytes(pickle.dumps(Exploit()))
    resign(folder, name)
    with pytest.raises(ModelFormatError, match="not a safetensors file"):
        read_model(folder)


def test_weights_of_other_shapes_are_refused(folder: Path) -> None:
    name = f"observation_encoder/{WEIGHTS}"
    weights = load_file(folder / name)
    weights["quant_conv.bias"] = torch.zeros(3)
    save_file(weights, folder / name)
    resign(folder, name)
    with pytest.raises(ModelFormatError, match=r"quant_conv.bias is \(3,\), not \(8,\)"):
        read_model(folder)


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "kernel_vae" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "changes",
    [
        {"block_out_channels": [8, 8, 8, 262144]},
        {"layers_per_block": 3000},
        {"block_out_channels": [8] * 3000, "down_block_types": ["DownEncoderBlock2D"] * 3000},
        {"block_out_channels": {"8": {"8": [8] * 3000}}},
    ],
)
def test_a_configuration_of_any_size_costs_neither_memory_nor_time(
    folder: Path, changes: dict[str, object]
) -> None:
    edit_config(folder, **changes)
    resign(folder, "kernel_vae/config.json")
    with pytest.raises(ModelFormatError, match=r"too large|does not fit|makes no"):
        read_model(folder)


@pytest.mark.parametrize("changes", [{"norm_num_groups": 2}, {"act_fn": "relu"}])
def test_a_configuration_that_was_changed_is_refused_or_is_another_model(
    folder: Path, changes: dict[str, object]
) -> None:
    before = read_model(folder).digest
    edit_config(folder, **changes)
    with pytest.raises(ModelFormatError, match="SHA-256 differs"):
        read_model(folder)
    resign(folder, "kernel_vae/config.json")
    assert read_model(folder).digest != before


@pytest.mark.parametrize(
    "changes",
    [{"representation": {"kind": "min_max"}}, {"grid": [128, 64]}, {"std_factor": 2.5}],
)
def test_all_that_changes_kernels_is_part_of_the_identity(
    folder: Path, changes: dict[str, object]
) -> None:
    before = read_model(folder).digest
    edit_index(folder, **changes)
    assert read_model(folder).digest != before


def test_the_path_of_the_trainer_is_not_told(tmp_path: Path) -> None:
    model = two_step()
    model.networks["kernel_vae"].save_pretrained(tmp_path / "trained")
    again = {**model.networks}
    again["kernel_vae"] = AutoencoderKL.from_pretrained(tmp_path / "trained")
    folder = write_model(
        tmp_path / "model", KernelModel("two_step", TINY.representation, again), "card"
    )
    for path in folder.rglob("*.json"):
        assert str(tmp_path) not in path.read_text()
    assert read_model(folder).digest == read_model(write_model(tmp_path / "b", model, "")).digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_class_name": "StableDiffusionPipeline"}, "_class_name"),
        ({"method": "three_step"}, "method"),
        ({"sha256": {}}, "must list exactly"),
        ({"auto_map": {"AutoModel": "modeling.Evil"}}, "auto_map"),
        ({"grid": [0, 0]}, "grid"),
        ({"grid": [64, -64]}, "grid"),
        ({"grid": [10**9, 64]}, "grid"),
        ({"grid": [64, 61]}, "grid"),
        ({"representation": {"kind": "asinh", "softness": 1e308}}, "softness"),
        ({"representation": {"kind": "asinh", "softness": 1e-320}}, "softness"),
        ({"std_factor": 0.0}, "std_factor"),
        ({"std_factor": float("inf")}, "std_factor"),
        ({"metrics": {"rmse": float("nan")}}, "metrics"),
    ],
)
def test_an_index_that_lies_is_refused(
    folder: Path, changes: dict[str, object], message: str
) -> None:
    edit_index(folder, **changes)
    with pytest.raises(ModelFormatError, match=message):
        read_model(folder)


def test_a_class_by_another_name_is_refused(folder: Path) -> None:
    edit_config(folder, _class_name="UNet2DModel")
    resign(folder, "kernel_vae/config.json")
    with pytest.raises(ModelFormatError, match="UNet2DModel, not a AutoencoderKL"):
        read_model(folder)


def test_numbers_that_are_not_finite_are_refused(folder: Path) -> None:
    name = f"kernel_vae/{WEIGHTS}"
    weights = load_file(folder / name)
    weights["quant_conv.bias"][0] = float("nan")
    save_file(weights, folder / name)
    resign(folder, name)
    with pytest.raises(ModelFormatError, match="not finite"):
        read_model(folder)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match=r"no model_index\.json"):
        read_model(tmp_path)


def test_presets_have_the_promised_sizes() -> None:
    preset = PRESETS["compact"]
    count = sum(weight.numel() for weight in make_kernel_vae(preset).parameters())
    assert 1e6 < count < 4e6
    latent = make_kernel_vae(preset).encode(torch.zeros(1, 1, 64, 64)).latent_dist.mean
    assert latent.shape == (1, 4, 8, 8)
    with torch.device("meta"):
        published = make_kernel_vae(PRESETS["paper"])
    assert sum(weight.numel() for weight in published.parameters()) == pytest.approx(
        83.7e6, rel=0.01
    )
