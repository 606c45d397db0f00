"""What a run would do, stage by stage, with its time, memory and disk; and which runtimes will load the result."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout

from dfrot_engine import Plan, StageEstimate
from dfrot_engine.units import format_duration
from dfrot_gui.pages.verdict_table import VerdictTable
from dfrot_gui.presets import summary
from dfrot_gui.quantities import format_bytes
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.run_words import STAGE_TITLES
from dfrot_gui.theme import px
from dfrot_gui.translation import mark, tr
from dfrot_gui.widgets import Card, IconLabel, badge, box, clear, col, hline, label, row, set_badge
from dfrot_gui.widgets.reflow import ReflowGrid

TIME, LEAST_TIME = mark("About {duration} on this computer"), mark("At least {duration} on this computer")
ICONS = {
    "load": "cube",
    "calibrate": "target",
    "rotate": "arrows-clockwise",
    "quantize": "hash",
    "export": "floppy-disk",
    "prove": "check-circle",
    "evaluate": "chart-line-up",
}


class PlanCard(Card):
    def __init__(self, model: RecipeModel) -> None:
        self._badge = badge("", "accent")
        super().__init__(tr("What will happen"), right=self._badge)
        self._model = model
        self._stages = QVBoxLayout()
        self._shown: tuple[StageEstimate, ...] = ()
        self._status = label("", "small")
        self._time = label("", "small")
        self._memory = label("", "small")
        self._disk = label("", "small")
        self._totals = box(
            row(
                *(IconLabel("timer", 15, "faint"), self._time, 14),
                *(IconLabel("cpu", 15, "faint"), self._memory, 14),
                *(IconLabel("hard-drives", 15, "faint"), self._disk, None),
                spacing=6,
            )
        )
        self.verdicts = VerdictTable()
        self._loading = box(col(hline(), 4, label(tr("Will it load?"), "h2"), self.verdicts, spacing=8))
        self.add(self._stages)
        self.add(self._totals)
        self.add(self._loading)
        self.add(self._status)
        model.plan_changed.connect(self.refresh)
        model.planning_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        plan = self._model.plan
        set_badge(self._badge, summary(self._model.recipe), "accent")
        has_stages = plan is not None and bool(plan.stages)
        self._totals.setVisible(has_stages)
        self._loading.setVisible(has_stages)
        self._status.setVisible(not has_stages)
        self._show_stages(plan.stages if plan is not None else ())
        if plan is None or not plan.stages:
            waits = plan is None and not self._model.problems
            self._status.setText(tr("Reading the model's headers…") if waits else tr("Correct the problems first."))
            return
        self._show_totals(plan)
        self.verdicts.set_verdicts(plan.verdicts)

    def _show_stages(self, stages: tuple[StageEstimate, ...]) -> None:
        if stages == self._shown:
            return
        self._shown = stages
        clear(self._stages)
        if stages:
            columns = (len(stages), 3, 2)
            cards = [_stage_card(stage) for stage in stages]
            self._stages.addWidget(ReflowGrid(cards, columns=columns, min_width=px(132), spacing=12))

    def _show_totals(self, plan: Plan) -> None:
        seconds = [stage.seconds for stage in plan.stages if stage.seconds is not None]
        is_complete = len(seconds) == len(plan.stages)
        template = TIME if is_complete else LEAST_TIME
        self._time.setText(
            tr(template, duration=format_duration(sum(seconds))) if seconds else tr("Time not known yet")
        )
        self._memory.setText(
            tr("Peak about {size}", size=format_bytes(max(stage.peak_memory_bytes for stage in plan.stages)))
        )
        written = sum(output.bytes for output in plan.outputs)
        disk = sum(stage.disk_bytes for stage in plan.stages)
        files = tr("{size} of files", size=format_bytes(written)) if plan.outputs else tr("No files, only measurements")
        self._disk.setText(tr("{files}, up to {size} on disk", files=files, size=format_bytes(disk)))


def _stage_card(stage: StageEstimate) -> Card:
    card = Card(kind="inset", margins=(12, 10, 12, 10), spacing=3)
    title = tr(STAGE_TITLES.get(stage.stage, stage.stage.capitalize()))
    card.setAccessibleName(f"{title}: {stage.summary}")
    card.add(row(IconLabel(ICONS.get(stage.stage, "cube"), 16, "accent"), label(title, "h2"), None, spacing=8))
    card.add(label(stage.summary[:1].upper() + stage.summary[1:], "small", wrap=True))
    card.body.addStretch(1)
    return card
