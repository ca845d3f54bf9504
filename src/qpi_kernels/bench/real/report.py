"""`RealReport`: scores of methods on a real map, as JSON and as a table in Markdown."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from qpi_kernels.bench.real.parameters import RealBenchParameters
from qpi_kernels.predictive_score import PredictiveScore

__all__ = ["RealReport", "RealRow"]


class RealRow(BaseModel):
    """One method."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    method: str = Field(description="name and fields, as they were given")
    score: PredictiveScore | None = Field(default=None, description="None if it failed")
    behind: float = Field(default=0.0, description="R squared of the best less this one's")
    behind_error: float = Field(default=0.0, description="standard error, paired over the blocks")
    real: bool = Field(default=False, description="behind by more than two standard errors")
    failure: str = Field(default="", description="why it failed")


class RealReport(BaseModel):
    """All methods, and what they were compared on."""

    file: str
    channel: str
    defects: dict[str, int] = Field(description="number of defects of each kind")
    settings: RealBenchParameters
    rows: list[RealRow]
    sentences: list[str] = Field(description="the comparison in words")
    seconds: float
    software: str

    def table(self) -> list[list[str]]:
        """Write the methods, one line each after a line of heads, the best first."""
        heads = ["method", "R²", "behind the best", "log-likelihood", "within 1, 2 sigma"]
        scored = [row for row in self.rows if row.score is not None]
        scored.sort(key=lambda row: -row.score.r_squared if row.score else 0.0)
        lines = [heads]
        for row in scored:
            score = row.score
            assert score is not None
            behind = f"{row.behind:.4f} ± {row.behind_error:.4f}{'' if row.real else ' (not real)'}"
            lines.append(
                [
                    row.method,
                    f"{score.r_squared:.4f} ± {score.r_squared_error:.4f}",
                    behind if row is not scored[0] else "",
                    f"{score.log_likelihood:.4f} ± {score.log_likelihood_error:.4f}",
                    f"{score.within_1_sigma:.1%}, {score.within_2_sigma:.1%}",
                ]
            )
        lines += [[row.method, "failed", "", "", ""] for row in self.rows if row.score is None]
        return lines

    @property
    def division(self) -> str:
        """Division of the map, in words."""
        scores = [row.score for row in self.rows if row.score is not None]
        if not scores:
            return "nothing was predicted"
        score = scores[0]
        blocks = f"{score.blocks} blocks of {score.block_px} px"
        if score.left_out == "defects":
            blocks = f"the surroundings ({score.block_px} px) of {score.blocks} defects"
        return f"{blocks} in {score.folds} folds, {score.pixels} pixels"

    def markdown(self) -> str:
        """Write the table, what it means in words, and how it was made, in Markdown."""
        heads, *lines = self.table()
        rows = [heads, ["---"] * len(heads), *lines]
        counts = ", ".join(f"{count} of kind {kind}" for kind, count in self.defects.items())
        made = f"{self.file}, {self.channel}: {counts}; {self.division}; {self.software}."
        failures = [f"{row.method}: {row.failure}" for row in self.rows if row.failure]
        parts = ["\n".join(f"| {' | '.join(row)} |" for row in rows)]
        parts += ["\n".join(f"- {sentence}" for sentence in [*self.sentences, *failures]), made]
        return "\n\n".join(parts) + "\n"
