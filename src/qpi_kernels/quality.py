"""`Quality`: numbers, reasons and trust of an extracted kernel, and the words made from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from qpi_kernels.predictive_score import PredictiveScore
from qpi_kernels.quality_sentences import SENTENCES, Sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "Quality",
    "QualityText",
    "Reason",
    "ResidualChecks",
    "Trust",
    "describe_quality",
    "lowest_trust",
]

Trust = Literal["good", "uncertain", "undetermined"]

_SHOWN_REASONS = 3
_ORDER: tuple[Trust, ...] = ("undetermined", "uncertain", "good")


class Reason(BaseModel):
    """A finding about a kernel: a code, the number found and the threshold it was compared with."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    code: str = Field(description="which finding, a key of `quality_sentences.SENTENCES`")
    number: float | None = Field(default=None, description="the number found")
    threshold: float | None = Field(default=None, description="what it was compared with")
    place: str = Field(default="", description="kind, biases, symmetry or prior it is about")
    trust: Trust = Field(default="good", description="the highest trust that it leaves")


class ResidualChecks(BaseModel):
    """Findings in the residual of an extraction beside noise.

    From `qpi_kernels.extraction.check_residual`; of a stack, the plane with the clearest kernel.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    explained: dict[str, float] = Field(
        default_factory=dict,
        description="chi-squared that each change of the model would explain; empty where there "
        "are too few marks to tell",
    )
    usual: dict[str, float] = Field(
        default_factory=dict, description="what that hardly exceeds by chance"
    )
    reasons: list[Reason] = Field(default_factory=list, description="what is told of it")
    radius_px: list[float] = Field(
        default_factory=list, description="distances from a mark, in pixels"
    )
    around: list[float] = Field(
        default_factory=list,
        description="whitened residual at these distances, summed over the marks and divided by "
        "its standard deviation; mean over directions",
    )
    around_band: list[float] = Field(
        default_factory=list, description="two standard deviations of it for noise"
    )
    power: list[float] = Field(
        default_factory=list,
        description="mean square of the whitened residual at these distances from a mark, 1 for "
        "noise; shows what differs from mark to mark",
    )
    power_band: list[float] = Field(
        default_factory=list, description="two standard deviations of it for noise"
    )
    wave_vector: list[float] = Field(
        default_factory=list, description="wave vectors of the spectrum, rad per pixel"
    )
    spectrum: list[float] = Field(
        default_factory=list, description="power of the residual there over its mean"
    )
    noise_spectrum: list[float] = Field(
        default_factory=list, description="the same of the noise model"
    )
    spectrum_band: list[float] = Field(
        default_factory=list,
        description="two standard deviations of the power for noise, as a share of it",
    )

    def plot_around(self, axes: Axes) -> Axes:
        """Draw the mean residual over the marks on matplotlib axes, with the band of noise."""
        _draw(axes, self.radius_px, self.around, 0.0, np.asarray(self.around_band))
        axes.set(xlabel="distance from the marks (px)", ylabel="mean residual (sigma)")
        return axes

    def plot_power(self, axes: Axes) -> Axes:
        """Draw the mean square residual about the marks on matplotlib axes, with its band."""
        _draw(axes, self.radius_px, self.power, 1.0, np.asarray(self.power_band))
        axes.set(xlabel="distance from the marks (px)", ylabel="mean square residual")
        return axes

    def plot_spectrum(self, axes: Axes) -> Axes:
        """Draw the residual's spectrum on matplotlib axes, with the band of the noise model."""
        model = np.asarray(self.noise_spectrum)
        _draw(axes, self.wave_vector, self.spectrum, model, model * np.asarray(self.spectrum_band))
        axes.set(xlabel="wave vector (rad/px)", ylabel="power / mean")
        return axes


def _draw(
    axes: Axes,
    places: list[float],
    values: list[float],
    expected: float | NDArray[np.float64],
    band: NDArray[np.float64],
) -> None:
    """Draw numbers over the band that noise would leave them in."""
    axes.fill_between(places, expected - band, expected + band, color="0.85", label="noise")
    axes.plot(places, values, color="tab:blue", label="residual")
    axes.legend(frameon=False)


class Quality(BaseModel):
    """The trust in a kernel, in numbers.

    Lists have one entry per bias. `describe_quality` makes words from it.
    """

    model_config = ConfigDict(ser_json_inf_nan="constants")

    noise_sigma: list[float] = Field(description="pixel noise, in the observation's units")
    reduced_chi2: list[float] = Field(
        description=(
            "residual variance over pixel-noise variance; 1 for white noise, NaN when the fit "
            "leaves too few free pixels to tell"
        )
    )
    r_squared: list[float] = Field(description="share of the observation's variance explained")
    predicted: list[float] = Field(
        default_factory=list,
        description=(
            "share of the variance within the kernel windows that the kernels explain beyond "
            "what as many free numbers would explain of anything (adjusted R squared)"
        ),
    )
    fill: float = Field(description="kernel pixels (all kinds) over counted image pixels, k^2/n^2")
    condition: float = Field(description="condition number of the problem that was solved")
    ridge: list[float] = Field(description="ridge strength, as a number of defects of zero signal")
    determined: list[float] = Field(
        description="share of the kernel's free numbers that the data fix; the ridge fixes the rest"
    )
    expected_error: float = Field(
        default=float("inf"),
        description="rms standard deviation over the kernel's rms, of the worst kind",
    )
    defects: int = Field(default=0, description="number of defects used")
    iterations: int = Field(description="solver iterations, the maximum over all biases")
    converged: bool = Field(description="whether the solver reached its tolerance")
    symmetry_scores: dict[str, float] = Field(
        description="correlation with its rotated copies, 1 is perfect; imposed ones are left out"
    )
    prediction: PredictiveScore | None = Field(
        default=None, description="prediction of left-out pixels, where that was asked for"
    )
    trust: Trust = Field(description="whether the data determine the kernel")
    checks: ResidualChecks | None = Field(
        default=None, description="what the residual shows beside noise, where that was tested"
    )
    reasons: list[Reason] = Field(description="why, and remarks")

    @model_validator(mode="before")
    @classmethod
    def _read_old(cls, values: Any) -> Any:
        """Convert the verdict of files written before `trust` existed.

        Their sentences become reasons with the code ``stored``. "Well posed" is good; else a kernel
        that explains nothing is undetermined and any other uncertain.
        """
        if not isinstance(values, dict) or "trust" in values or "well_posed" not in values:
            return values
        values = dict(values)
        explained = np.asarray(values.get("r_squared", []), dtype=float)
        shown = explained[np.isfinite(explained)]
        trust: Trust = "good"
        if not values.pop("well_posed"):
            trust = "uncertain" if shown.size and np.median(shown) > 0 else "undetermined"
        stored = [Reason(code="stored", place=line) for line in values.pop("verdict", [])]
        return values | {"trust": trust, "reasons": stored}

    @property
    def verdict(self) -> list[str]:
        """Headline and main reasons in words, see `describe_quality`."""
        text = describe_quality(self)
        return [f"{text.title}: {text.headline}", *text.reasons]

    def undetermined(self, kind: str | None = None) -> bool:
        """Return whether the kernel, or that of one kind, is not determined by the data.

        Parameters
        ----------
        kind : str, optional
            Name of a kind, where there are several.
        """
        return self.trust == "undetermined" or any(
            reason.code == "error_exceeds_kernel" and reason.place == kind
            for reason in self.reasons
        )


class QualityText(NamedTuple):
    """A quality in words.

    Parameters
    ----------
    title : str
        The trust in a word.
    headline : str
        One sentence without the title.
    reasons : list of str
        At most three sentences, the most important first.
    details : list of str
        Explanations, advice and further findings.
    """

    title: str
    headline: str
    reasons: list[str]
    details: list[str]


def describe_quality(quality: Quality) -> QualityText:
    """Put a quality into words.

    Parameters
    ----------
    quality : Quality
        From a `KernelResult`.

    Returns
    -------
    QualityText
        Title and headline, at most three reasons, and the details.
    """
    codes = list(SENTENCES)
    ranked = sorted(
        ((reason, _sentence(reason)) for reason in quality.reasons),
        key=lambda pair: (
            _ORDER.index(pair[0].trust),
            codes.index(pair[0].code) if pair[0].code in SENTENCES else len(codes),
        ),
    )
    main = [pair for pair in ranked if not pair[1].note][:_SHOWN_REASONS]
    rest = [pair for pair in ranked if pair not in main]
    details = [sentence.detail for _, sentence in main if sentence.detail]
    for reason, sentence in rest:
        details.append(f"{_words(reason, sentence)} {sentence.detail}".strip())
    reasons = [_words(reason, sentence) for reason, sentence in main]
    title = "Determined" if quality.trust == "good" else quality.trust.capitalize()
    return QualityText(title, _headline(quality), reasons, list(dict.fromkeys(details)))


def lowest_trust(reasons: Iterable[Reason]) -> Trust:
    """Return the trust that all reasons together leave; ``"good"`` without any."""
    return min((reason.trust for reason in reasons), key=_ORDER.index, default="good")


def _headline(quality: Quality) -> str:
    """Sum up the trust in one sentence."""
    defects = f"{quality.defects} defect{'s' * (quality.defects != 1)}"
    if not quality.defects:
        # Files of earlier versions hold neither number.
        return "see the reasons."
    if quality.trust == "undetermined":
        return f"{defects}, but the map does not show their kernel."
    error = f"expected error {quality.expected_error:.1%} of the kernel's rms"
    return f"{defects}, {error}{', or more' * (quality.trust == 'uncertain')}."


def _sentence(reason: Reason) -> Sentence:
    """Look up the sentence of a reason; codes of later versions show their numbers."""
    unknown = f"{reason.code}: {{number}} (threshold {{threshold}}) {{place}}"
    return SENTENCES.get(reason.code, Sentence(unknown))


def _words(reason: Reason, sentence: Sentence) -> str:
    """Fill a sentence with the reason's numbers."""
    below = sentence.negative and reason.number is not None and reason.number < 0
    return (
        (sentence.negative if below else sentence.reason)
        .format(
            number=reason.number,
            threshold=reason.threshold,
            place=reason.place,
            words=reason.place.replace("_", " "),
            of_place=f" of {reason.place}" if reason.place else "",
        )
        .strip()
    )
