"""What all boards are made of: panels with their queries, and variables."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Panel: TypeAlias = Any
"""A builder of one; the library has no common type for those of different kinds."""
Queries: TypeAlias = dict[str, str]
"""Expressions by the legend of their series."""

SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
WHOLE_WIDTH: Final = 24
TAG: Final = "sluice"
ZERO: Final = "or vector(0)"
"""Behind an expression that counts what is there: nothing is a figure, too."""
DEFAULT_SPAN, DEFAULT_HEIGHT = 12, 8
FIGURE_SPAN, FIGURE_HEIGHT = 4, 4


def graph(title: str, queries: Queries, *, unit: str = "short", about: str = "", most: float | None = None) -> Panel:
    """Lines over time. most: a value at which something is decided, drawn as a line."""
    panel = timeseries.Panel().title(title).description(about).datasource(SOURCE).unit(unit)
    panel = panel.span(DEFAULT_SPAN).height(DEFAULT_HEIGHT).line_width(1).fill_opacity(8)
    panel = panel.legend(
        common.VizLegendOptions()
        .display_mode(common_models.LegendDisplayMode.LIST)
        .placement(common_models.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    if most is not None:
        panel = panel.thresholds(
            dashboard.ThresholdsConfig()
            .mode(models.ThresholdsMode.ABSOLUTE)
            .steps([models.Threshold(value=None, color="green"), models.Threshold(value=most, color="red")])
        ).thresholds_style(common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.LINE))
    for number, (legend, expr) in enumerate(queries.items()):
        panel = panel.with_target(
            prometheus.Dataquery().expr(expr).legend_format(legend).range().ref_id(_ref_id(number))
        )
    return panel


def figure(
    title: str, expr: str, *, unit: str = "short", about: str = "", legend: str = "", bad: float | None = None
) -> Panel:
    """One number as of now; of a legend its text instead. bad: from this value on it is red."""
    panel = stat.Panel().title(title).description(about).datasource(SOURCE).unit(unit)
    panel = panel.span(FIGURE_SPAN).height(FIGURE_HEIGHT).graph_mode(common_models.BigValueGraphMode.NONE)
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    if legend:
        panel = panel.text_mode(common_models.BigValueTextMode.NAME)
    steps = [models.Threshold(value=None, color="text")]
    if bad is not None:
        steps.append(models.Threshold(value=bad, color="red"))
    panel = panel.thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    return panel.with_target(prometheus.Dataquery().expr(expr).legend_format(legend).instant().ref_id(_ref_id(0)))


def rows(title: str, expr: str, *, about: str = "") -> Panel:
    """A table with a row for each series of now, and a column for each label."""
    panel = table.Panel().title(title).description(about).datasource(SOURCE).span(DEFAULT_SPAN).height(DEFAULT_HEIGHT)
    query = prometheus.Dataquery().expr(expr).instant().format(PromQueryFormat.TABLE).ref_id(_ref_id(0))
    hidden = {"Time": True, "Value": True}
    return panel.with_target(query).with_transformation(
        models.DataTransformerConfig(id_val="organize", options={"excludeByName": hidden})
    )


def source() -> dashboard.DatasourceVariable:
    """Which Prometheus."""
    return dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")


def choice(name: str, query: str, *, label: str, everything: bool = False) -> dashboard.QueryVariable:
    """Values of a label in the time that is shown; everything: several may be chosen, or all."""
    variable = dashboard.QueryVariable(name).label(label).query(query).datasource(SOURCE)
    variable = variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)
    return variable.multi(True).include_all(True).all_value(".*") if everything else variable


def board(
    uid: str, title: str, about: str, variables: Sequence[Any], content: Sequence[Panel | str], *, time: str = "now-1h"
) -> models.Dashboard:
    """A dashboard. content: panels from left to right and top to bottom, and the titles of rows."""
    made = dashboard.Dashboard(title).uid(uid).description(about).tags([TAG]).time(time, "now").refresh("30s")
    made = made.readonly().tooltip(models.DashboardCursorSync.CROSSHAIR).timezone("browser")
    made = made.link(
        dashboard.DashboardLink("Sluice")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .keep_time(True)
        .as_dropdown(True)
    )
    for variable in (source(), *variables):
        made = made.with_variable(variable)
    for number, part in enumerate(content, start=1):
        if isinstance(part, str):
            made = made.with_row(dashboard.Row(part).id(number))
        else:
            made = made.with_panel(part.id(number))
    return made.build()


def _ref_id(number: int) -> str:
    return chr(ord("A") + number)
