"""The sentences for every reason code: the only place where a quality becomes words."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["SENTENCES", "Sentence"]


class Sentence(NamedTuple):
    """Words of a reason.

    Parameters
    ----------
    reason : str
        One sentence; a format string with ``number``, ``threshold``, ``place``, ``of_place``
        (``" of PLACE"``, or nothing) and ``words`` (the place without underscores).
    detail : str
        Explanation or advice, shown behind "more".
    negative : str
        The sentence instead where the number is below zero.
    note : bool
        Whether it is background information, shown behind "more" only.
    """

    reason: str
    detail: str = ""
    negative: str = ""
    note: bool = False


_MORE_DATA = (
    "Mark more defects, use a smaller window, mask what the defects do not describe, or impose a "
    "symmetry that is known."
)
_OTHER_STRUCTURE = (
    "Possible causes: unmarked defects, misplaced positions, steps, line noise, or a kernel larger "
    "than its window; see the residual layer. Refining the positions tests whether these are off."
)

SENTENCES = {
    # The kernel is not determined.
    "window_exceeds_map": Sentence(
        "The kernel window has as many unknowns as the map has counted pixels, or more "
        "({number:.0%}).",
        "Use a smaller window.",
    ),
    "not_explained": Sentence(
        "Around the defects the kernel predicts {number:.1%} of the variance, no more than chance "
        "({threshold:.1%}).",
        "Check positions, kinds and background, and mask what the defects do not describe.",
        negative="Around the defects the kernel predicts nothing of the map: it fits worse than "
        "no kernel.",
    ),
    "no_variance": Sentence("The map shows nothing that a kernel could explain."),
    "error_exceeds_kernel": Sentence(
        "The expected error exceeds the kernel{of_place} ({number:.0%} of its rms).", _MORE_DATA
    ),
    "network_negative": Sentence(
        "The network's kernel fits the map best upside down: the network does not know this kernel."
    ),
    # The kernel is in doubt.
    "network_misfit": Sentence(
        "The network's kernel does not fit the map: it explains {number:.0%} of the variance.",
        "Either positions, kinds or the background are wrong (see the residual layer), or the "
        "network does not know such a kernel: bayes with the prior learned goes on from it to "
        "what the map shows.",
        negative="The network's kernel does not fit the map: it explains nothing of it.",
    ),
    "network_error": Sentence(
        "The residual shows an error of about {number:.0%} of the kernel; the network expects "
        "{threshold:.0%}.",
        "The network does not know such a kernel well: bayes with the prior learned goes on from "
        "it to what the map shows.",
    ),
    "ridge_replaced": Sentence(
        "The residual is structure, not noise: the evidence would erase the kernel, so a weak "
        "ridge was used.",
        "The evidence takes the residual for white noise. Mask steps and rims, or fit a "
        "background of rows.",
    ),
    "large_error": Sentence(
        "The expected error is {number:.0%} of the kernel{of_place} (rms).", _MORE_DATA
    ),
    "few_determined": Sentence(
        "The data fix {number:.0%} of the kernel; the ridge pulls the rest towards zero.",
        _MORE_DATA,
    ),
    "window_large": Sentence(
        "The kernel window is large for this map ({number:.0%} of the counted pixels), which "
        "amplifies noise.",
        "Use a smaller window or a larger map.",
    ),
    "unseen": Sentence(
        "No defect shows {number:.0%} of the kernel window: all are too near the edge or the mask.",
        "Those pixels are not measured. Use a smaller window.",
    ),
    "kinds_missing": Sentence(
        "Only {number:.0f} of the {threshold:.0f} kinds asked for were found."
    ),
    "faint_defects": Sentence(
        "{number:.0f} of the defects found are fainter than half the typical one.",
        "If the map has no such defects, they are pieces of what kernels of this size cannot show: "
        "kernels larger than their window, another kind of defect, or coloured noise. Try a larger "
        "kernel, then more kinds, then mark the defects by hand.",
    ),
    "paired_defects": Sentence(
        "Most of the defects found have a partner {number:.0f} px away, all at (rows, columns) "
        "{place}.",
        "If the sample has no such pairs, each defect was taken for two and the kernel is a piece "
        "of the true one. Try another kernel size or cut of the map, or mark the defects by hand.",
    ),
    "dense_defects": Sentence(
        "Defects lie so densely that about {number:.0f} of those found may be two or more.",
        "The kernel keeps its shape, but was 1.0 to 2.2 times too strong in simulated maps, "
        "and many defects are missing. For its strength, extract from a part of the map where "
        "defects lie apart.",
    ),
    "tip_change": Sentence(
        "The map changes at scan line {place}, as with a tip change (chi-squared {number:.0f}, by "
        "chance up to {threshold:.0f}).",
        "Mask the part on one side of that line, or crop the map there.",
    ),
    "drift": Sentence(
        "The map drifts against the marks along the slow axis (chi-squared {number:.0f}, by chance "
        "up to {threshold:.0f}).",
        "Refine the positions, or mark the defects in this map.",
    ),
    "drift_within": Sentence(
        "Kernels are sheared or stretched more and more along the slow axis: the drift changed "
        "within the map (chi-squared {number:.0f}, by chance up to {threshold:.0f}).",
        "Correct the drift on the lattice, or crop to rows in which it was steady.",
    ),
    "multiple_scattering": Sentence(
        "Waves scatter from defect to defect (chi-squared {number:.0f}, by chance up to "
        "{threshold:.0f}): the map is no sum of kernels.",
        "The standard deviation does not include that. Use a part of the sample with fewer "
        "defects; more defects do not help.",
    ),
    "marks_empty": Sentence(
        "Marks at which no defect shows: {place} (chi-squared {number:.0f}, by chance up to "
        "{threshold:.0f}).",
        "Review the marks and remove them: they make the kernel weaker.",
    ),
    "marks_displaced": Sentence(
        "The marks are off by about {place} px (chi-squared {number:.0f}, by chance up to "
        "{threshold:.0f}).",
        "Refine the positions.",
    ),
    "second_kind": Sentence(
        "The marked defects look like two kinds; {place} of them are of the rarer one (chi-squared "
        "{number:.0f}, by chance up to {threshold:.0f}).",
        "Give the kinds labels of their own, or mark one kind and mask the other.",
    ),
    "unmarked_defects": Sentence(
        "Defects that are not marked: {place} or more (chi-squared {number:.0f}, by chance up to "
        "{threshold:.0f}).",
        "Review the marks: the missed ones are proposed there.",
    ),
    "strengths_differ": Sentence(
        "The defects' strengths scatter by {place} (chi-squared {number:.0f}, by chance up to "
        "{threshold:.0f}).",
        "Refine positions and strengths.",
    ),
    "little_explained": Sentence(
        "The defects explain {number:.0%} of the map, and the residual is not noise.",
        _OTHER_STRUCTURE,
        negative="The defects explain nothing of the map, and the residual is not noise.",
    ),
    "symmetry_doubtful": Sentence(
        "The residual holds more than pixel noise (chi-squared {number:.2g}); the imposed symmetry "
        "{place} may be why.",
        "Extract without the symmetry and compare. The standard deviation does not include the "
        "error of a wrong symmetry.",
    ),
    "residual_structure": Sentence(
        "The residual holds more than pixel noise (chi-squared {number:.2g}).", _OTHER_STRUCTURE
    ),
    "coloured_noise": Sentence(
        "The noise has the spectrum of the residual; the standard deviation may be too small.",
        "The standard deviation includes the change that white noise would make to the kernel, but "
        "not that unmarked structure blurs or shifts it.",
    ),
    "network_mostly_noise": Sentence(
        "The map is mostly noise ({number:.0%} explained): a wrong kernel would fit it as well.",
        negative="The kernel explains nothing of the map: a wrong kernel would fit it as well.",
    ),
    # Remarks.
    "residual_excess": Sentence(
        "The residual holds slightly more than pixel noise (chi-squared {number:.3g}).",
        "Possible causes: misplaced positions, a second kind, waves that scatter from defect to "
        "defect, or a kernel larger than its window. Noise may hide most of it.",
    ),
    "waves_beyond_window": Sentence(
        "The defects' waves go on beyond the kernel window (mean square {number:.2f} of noise "
        "there).",
        "A larger window describes them; the part within this one is hardly wrong for that.",
    ),
    "planes_structure": Sentence("The residual holds more than pixel noise at {place}."),
    "planes_not_explained": Sentence("The kernel explains no more than chance at {place}."),
    "duplicates": Sentence(
        "Pairs of marks within one pixel of each other: {number:.0f}, more than by chance.",
        "They look like duplicates, which count twice and make the kernel weaker.",
    ),
    "ordered": Sentence(
        "The data fix {number:.0%} of the kernel: the signal is weak, or the defects are ordered.",
        "Clustered or ordered defects leave ghosts of the kernel at their distances.",
    ),
    "average_overlap": Sentence(
        "An average keeps the overlapping waves of neighbours; least squares separates them."
    ),
    "several_kinds": Sentence(
        "{number:.0f} kinds of defects were found, with {place} defects.",
        "A kind may also be the same defect on another site of the lattice.",
    ),
    "undersampled": Sentence(
        "The kernel is sharper than the pixels sample: {number:.0%} of its variance lies in waves "
        "of less than two and a half pixels.",
        "Shifting it between pixels adds an error, about twice as large and not in the standard "
        "deviation. Measure with smaller pixels, or extract on finer ones with "
        "`extraction.oversample`.",
    ),
    "not_converged": Sentence(
        "The solver stopped before reaching its tolerance.",
        "Allow more iterations, or raise the ridge.",
    ),
    "network_shape": Sentence(
        "The kernel's shape comes from simulated training kernels; the map sets only its scale.",
        "Features that training never showed can be missing or invented; the standard deviation "
        "does not include that.",
    ),
    "stored": Sentence("{place}"),
    # Background information.
    "prior": Sentence(
        "The map fixes about {number:.0f} of {threshold:.0f} numbers; the rest follows the prior "
        "({words}), within the standard deviation.",
        note=True,
    ),
    "white_prior": Sentence(
        "The map fixes about {number:.0f} of {threshold:.0f} numbers; no prior explains it better "
        "than independent pixels, so the kernel is that of least squares.",
        note=True,
    ),
    "resampled_noise": Sentence(
        "The preparation interpolated the map: differences of neighbours show {number:.0%} of the "
        "noise's variance.",
        "Pixel noise, chi-squared and standard deviation allow for it.",
        note=True,
    ),
    "nothing_fixed": Sentence("The map fixes less than one number of the kernel.", note=True),
    "white_prior_biases": Sentence(
        "Planes that no prior explains better than independent pixels: {number:.0f}. Their kernels "
        "are those of least squares.",
        note=True,
    ),
    "network_window": Sentence(
        "The network makes kernels of {place} pixels as the map has them.", note=True
    ),
    "window_resampled": Sentence(
        "The kernel window was resampled to the network's {place} ({number:.2f} pixels each) and "
        "back: finer detail is lost.",
        note=True,
    ),
    "network_map": Sentence("The network saw the map on {place} pixels.", note=True),
    "map_resampled": Sentence(
        "The whole map was resampled to the network's {place} ({number:.2f} pixels each): finer "
        "detail is lost.",
        note=True,
    ),
}
"""By code, in the order of importance."""
