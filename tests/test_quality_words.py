"""A quality as data: files of earlier versions, the words, and the names of kernels."""

import json
from dataclasses import replace
from string import Formatter

import numpy as np
import pytest

from qpi_kernels import Defects, extract
from qpi_kernels.io import main_channel, open_scan
from qpi_kernels.kernel_files import kernel_name, kernel_paths, save_kernel
from qpi_kernels.quality import Quality, Reason, describe_quality, lowest_trust
from qpi_kernels.quality_sentences import SENTENCES
from qpi_kernels.result import KernelResult

# Written by version 0.1 for a map of 64 x 64 pixels.
OLD = """{"noise_sigma":[0.2],"reduced_chi2":[NaN],"r_squared":[%s],"fill":0.25,"condition":3.2,
"ridge":[0.4],"determined":[0.97],"iterations":16,"converged":true,
"symmetry_scores":{"C2":0.95},"well_posed":%s,"verdict":[
"%s: 20 defects, window 25.0%% of the image, expected error 9.1%% of the kernel's rms.",
"The residual holds more than pixel noise (chi-squared 1.5): look at the residual layer."]}"""


@pytest.mark.parametrize(
    ("explained", "posed", "head", "trust"),
    [
        ("0.8", "true", "Well posed", "good"),
        ("0.8", "false", "Not well posed", "uncertain"),
        ("-2.63", "false", "Uncertain", "undetermined"),
        ("NaN", "false", "Not determined", "undetermined"),
    ],
)
def test_qualities_of_earlier_versions_are_read(explained, posed, head, trust):
    quality = Quality.model_validate_json(OLD % (explained, posed, head))
    assert quality.trust == trust
    assert quality.determined == [0.97]
    assert quality.verdict[0].startswith({"good": "Determined"}.get(trust, trust.capitalize()))
    assert any("chi-squared 1.5" in line for line in quality.verdict)
    again = Quality.model_validate_json(quality.model_dump_json())
    assert (again.trust, again.reasons) == (quality.trust, quality.reasons)


def simple_result(trust="good", reasons=(), kinds=1):
    rng = np.random.default_rng(0)
    kind = ["vacancy", "adatom"] * 4 if kinds == 2 else None
    defects = Defects(rng.uniform(0, 24, (8, 2)), kind=kind)
    result = extract(
        rng.standard_normal((24, 24)), defects, kernel_shape=(5, 5), method="least_squares"
    )
    quality = result.quality.model_copy(update={"trust": trust, "reasons": list(reasons)})
    return replace(result, quality=quality)


def test_a_file_of_an_earlier_version_opens(tmp_path):
    import h5py

    path = simple_result().save(tmp_path / "kernel.nc")
    with h5py.File(path, "a") as file:
        file.attrs["quality"] = OLD % ("0.8", "true", "Well posed")
    loaded = KernelResult.load(path)
    assert loaded.quality.trust == "good"
    assert loaded.quality.symmetry_scores == {"C2": 0.95}


def test_the_trust_is_that_of_the_worst_reason():
    good, doubt, bad = (
        Reason(code="stored", trust=trust) for trust in ("good", "uncertain", "undetermined")
    )
    assert lowest_trust([]) == lowest_trust([good]) == "good"
    assert lowest_trust([good, doubt]) == "uncertain"
    assert lowest_trust([doubt, bad, good]) == "undetermined"


def test_three_reasons_are_shown_and_the_rest_is_behind_more():
    reasons = [
        Reason(code="duplicates", number=3),
        Reason(code="white_prior", number=5, threshold=25),
        Reason(code="large_error", number=0.7, trust="uncertain"),
        Reason(code="unseen", number=0.2, trust="uncertain"),
        Reason(code="not_explained", number=-0.5, threshold=0.01, trust="undetermined"),
    ]
    text = describe_quality(simple_result("undetermined", reasons).quality)
    assert text.title == "Undetermined"
    assert text.headline.startswith("8 defects, but")
    assert len(text.reasons) == 3
    assert "predicts nothing of the map" in text.reasons[0]
    assert "-50" not in text.reasons[0]
    assert "70%" in text.reasons[1]
    assert "20%" in text.reasons[2]
    assert any("Pairs of marks" in line for line in text.details)
    assert any("5 of 25" in line for line in text.details)


def test_every_sentence_is_one_short_sentence_and_can_be_filled():
    for code, sentence in SENTENCES.items():
        fields = {name for _, name, _, _ in Formatter().parse(sentence.reason) if name}
        assert fields <= {"number", "threshold", "place", "of_place", "words"}, code
        reason = Reason(code=code, number=0.25, threshold=0.5, place="vacancy")
        quality = simple_result(reasons=[reason]).quality if code == "stored" else None
        words = sentence.reason.format(
            number=0.25, threshold=0.5, place="vacancy", of_place=" of vacancy", words="vacancy"
        )
        assert len(words) < 160, code
        assert quality is None or "vacancy" in describe_quality(quality).reasons


def test_words_are_prose():
    sentences = [
        text for one in SENTENCES.values() for text in (one.reason, one.detail, one.negative)
    ]
    written = [Formatter().parse(text) for text in sentences]
    assert not [part for parts in written for part, *_ in parts if "_" in part]
    prior = Reason(code="prior", number=9, threshold=25, place="free_electrons")
    kind = Reason(code="error_exceeds_kernel", number=2, place="site_A", trust="uncertain")
    text = describe_quality(simple_result("uncertain", [prior, kind]).quality)
    assert "(free electrons)" in text.details[-1]
    assert "site_A" in text.reasons[0]


def test_a_code_of_a_later_version_shows_its_numbers():
    quality = simple_result(reasons=[Reason(code="tip_lost", number=7, threshold=2)]).quality
    assert "tip_lost: 7" in quality.verdict[1]


def test_reasons_are_frozen_and_saved(tmp_path):
    reason = Reason(code="unseen", number=0.2, threshold=0.01, trust="uncertain")
    with pytest.raises(ValueError, match="frozen"):
        reason.number = 0.0
    result = simple_result("uncertain", [reason])
    assert KernelResult.load(result.save(tmp_path / "kernel.nc")).quality == result.quality
    assert json.loads(result.quality.model_dump_json())["reasons"][0]["code"] == "unseen"


def test_an_undetermined_kernel_is_named_so_in_files(tmp_path):
    good, bad = simple_result(), simple_result("undetermined")
    assert kernel_name(good) == "kernel"
    assert kernel_name(bad) == "kernel (undetermined)"
    assert save_kernel(good, tmp_path / "k.npz") == [tmp_path / "k.npz"]
    assert save_kernel(bad, tmp_path / "k.gwy") == [tmp_path / "k_undetermined.gwy"]
    channel = main_channel(open_scan(tmp_path / "k_undetermined.gwy"))
    assert channel.attrs["long_name"] == "kernel (undetermined)"
    assert save_kernel(bad, tmp_path / "k.nc") == [tmp_path / "k.nc"]
    assert KernelResult.load(tmp_path / "k.nc").quality.trust == "undetermined"


def test_one_undetermined_kind_does_not_mark_the_others(tmp_path):
    weak = Reason(code="error_exceeds_kernel", number=1.5, place="adatom", trust="uncertain")
    result = simple_result("uncertain", [weak], kinds=2)
    assert kernel_name(result, "vacancy") == "kernel vacancy"
    assert kernel_name(result, "adatom") == "kernel adatom (undetermined)"
    assert set(kernel_paths(result, tmp_path / "k.tif")) == {
        tmp_path / "k_adatom_undetermined.tif",
        tmp_path / "k_vacancy.tif",
    }
