"""The caption of a figure: the figure command writes it, the report shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Caption:
    """Markdown, each part on one line; `figure` and `heading` are plain text."""

    figure: str  # e.g. Figure 3, ours; "" where the paper has no such figure
    heading: str  # what it shows, with its full stop
    text: str

    def to_markdown(self) -> str:
        before = f"{self.figure}: " if self.figure else ""
        return f"**{before}{self.heading}** {self.text}\n"
