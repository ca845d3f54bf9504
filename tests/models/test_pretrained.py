"""Networks start from an autoencoder of pictures; what can not be had or does not fit is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from huggingface_hub import HfApi

from qpi_kernels.models.loading import load_model, model_folder
from qpi_kernels.models.networks import ObservationEncoder, OneStepNetwork, make_kernel_vae
from qpi_kernels.models.presets import PRESETS, ModelPreset
from qpi_kernels.models.pretrained import PretrainedError, load_pretrained

TINY = ModelPreset(name="paper", channels=(8, 8, 8, 8), layers=1, groups=4)
WEIGHTS = "diffusion_pytorch_model.safetensors"


def autoencoder(channels: int = 3, preset: ModelPreset = TINY) -> AutoencoderKL:
    torch.manual_seed(3)
    return AutoencoderKL(in_channels=channels, out_channels=channels, **preset.autoencoder)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    autoencoder().save_pretrained(tmp_path / "pictures")
    return tmp_path / "pictures"


@torch.no_grad()
def test_a_kernel_vae_shows_the_mean_of_what_it_started_from(pictures: Path) -> None:
    before, vae = autoencoder(), make_kernel_vae(TINY)
    load_pretrained(vae, pictures)
    latent = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        vae.decode(latent).sample, before.decode(latent).sample.mean(dim=1, keepdim=True)
    )
    weight = before.encoder.conv_in.weight
    torch.testing.assert_close(vae.encoder.conv_in.weight, weight.mean(dim=1, keepdim=True))
    assert torch.equal(vae.encoder.conv_in.bias, before.encoder.conv_in.bias)


@pytest.mark.parametrize("made", [ObservationEncoder, OneStepNetwork])
def test_two_channels_are_the_first_two_times_one_and_a_half(made: type, pictures: Path) -> None:
    network = made.of_preset(TINY)  # type: ignore[attr-defined]
    load_pretrained(network, pictures)
    encoder = network.encoder if made is ObservationEncoder else network.network.encoder
    before = autoencoder().encoder
    torch.testing.assert_close(encoder.conv_in.weight, 1.5 * before.conv_in.weight[:, :2])
    assert torch.equal(encoder.conv_out.weight, before.conv_out.weight)


def test_a_kernel_vae_starts_from_another_as_it_is(tmp_path: Path) -> None:
    autoencoder(1).save_pretrained(tmp_path)
    vae = make_kernel_vae(TINY)
    load_pretrained(vae, tmp_path)
    assert all(
        torch.equal(value, vae.state_dict()[name])
        for name, value in autoencoder(1).state_dict().items()
    )


def test_more_channels_than_there_were_keep_the_size_of_features(tmp_path: Path) -> None:
    autoencoder(1).save_pretrained(tmp_path)
    encoder = ObservationEncoder.of_preset(TINY.model_copy(update={"inputs": "estimates"}))
    load_pretrained(encoder, tmp_path)
    torch.testing.assert_close(
        encoder.encoder.conv_in.weight.sum(dim=1), autoencoder(1).encoder.conv_in.weight[:, 0]
    )


def test_another_architecture_is_refused_by_name(pictures: Path) -> None:
    wider = TINY.model_copy(update={"channels": (16, 8, 8, 8)})
    with pytest.raises(PretrainedError, match=r"another architecture: encoder\..*\(16"):
        load_pretrained(make_kernel_vae(wider), pictures)


def test_pickles_are_never_read(pictures: Path) -> None:
    (pictures / WEIGHTS).unlink()
    torch.save(autoencoder().state_dict(), pictures / "diffusion_pytorch_model.bin")
    with pytest.raises(PretrainedError, match="saved as safetensors"):
        load_pretrained(make_kernel_vae(TINY), pictures)


def test_damaged_weights_are_refused(pictures: Path) -> None:
    content = (pictures / WEIGHTS).read_bytes()
    (pictures / WEIGHTS).write_bytes(content[: len(content) // 2])
    with pytest.raises(PretrainedError, match="no readable AutoencoderKL"):
        load_pretrained(make_kernel_vae(TINY), pictures)


@pytest.mark.parametrize(
    "source", ["no/such/folder", "/nowhere", "justaname", "./none/x", "../none"]
)
def test_a_wrong_path_is_refused(source: str) -> None:
    with pytest.raises(PretrainedError, match="no such folder"):
        load_pretrained(make_kernel_vae(TINY), source)


def test_what_can_not_be_downloaded_says_what_to_do_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(PretrainedError) as caught:
        load_pretrained(make_kernel_vae(TINY), "napari-qpi/no-such-model")
    text = str(caught.value)
    assert "hf download napari-qpi/no-such-model config.json" in text
    assert "--start-from FOLDER" in text
    assert "\n" not in text


def test_what_is_in_the_cache_needs_no_connection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    model = tmp_path / "models--someone--pictures"
    autoencoder().save_pretrained(model / "snapshots" / "0123abc")
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("0123abc")
    vae = make_kernel_vae(TINY)
    load_pretrained(vae, "someone/pictures")
    assert torch.equal(vae.encoder.conv_out.weight, autoencoder().encoder.conv_out.weight)


@pytest.mark.slow
def test_the_published_weights_fit_the_preset() -> None:
    source = PRESETS["paper"].pretrained
    assert source is not None
    try:
        HfApi().model_info(source, timeout=5)
    except Exception as error:
        pytest.skip(f"the hub can not be reached: {type(error).__name__}")
    for network in (
        make_kernel_vae(PRESETS["paper"]),
        ObservationEncoder.of_preset(PRESETS["paper"]),
        OneStepNetwork.of_preset(PRESETS["paper"]),
    ):
        load_pretrained(network, source)


def test_networks_go_on_from_those_of_a_saved_model(tmp_path: Path) -> None:
    compact = PRESETS["compact"]
    saved = load_model("bundled")
    vae, encoder = make_kernel_vae(compact), ObservationEncoder.of_preset(compact)
    load_pretrained(vae, "bundled")
    load_pretrained(encoder, model_folder("bundled"))
    for name, made in (("kernel_vae", vae), ("observation_encoder", encoder)):
        before = saved.networks[name].state_dict()
        assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())
    baseline = OneStepNetwork.of_preset(compact)
    load_pretrained(baseline, "bundled")
    before = load_model("bundled", method="one_step").networks["one_step"].state_dict()
    assert all(torch.equal(value, before[key]) for key, value in baseline.state_dict().items())
    with pytest.raises(PretrainedError, match="is a two_step model"):
        load_pretrained(baseline, model_folder("bundled"))
    with pytest.raises(PretrainedError, match="another architecture"):
        load_pretrained(make_kernel_vae(TINY), "bundled")
