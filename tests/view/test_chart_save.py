"""Charts are saved as pictures and as the numbers behind them."""

import io

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from browser import start_app
from PIL import Image

from factortopy.view.chart_numbers import as_csv, numbers


def test_bars_lie_or_stand():
    lying = go.Figure(go.Bar(x=[0.2, 0.1], y=["V1", "FFA"], orientation="h")).update_layout(xaxis_title="share")
    assert numbers(lying, True) == [
        {"simulated": True, "share": 0.2, "name": "V1"}, {"simulated": True, "share": 0.1, "name": "FFA"},
    ]  # fmt: skip
    standing = go.Figure([go.Bar(name=n, x=["V1"], y=[k], error_y={"array": [0.5]}) for k, n in enumerate("ab")])
    standing.update_layout(yaxis_title="mean response", meta={"columns": {"x": "area"}})
    assert numbers(standing) == [
        {"simulated": False, "series": "a", "area": "V1", "mean response": 0, "error": 0.5},
        {"simulated": False, "series": "b", "area": "V1", "mean response": 1, "error": 0.5},
    ]


def test_points_without_a_place_are_counted_and_guides_left_out():
    figure = go.Figure(go.Scatter(y=np.array([3.0, np.nan], np.float32), customdata=["first", "second"]))
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", hoverinfo="skip")
    assert numbers(figure) == [
        {"simulated": False, "x": 0, "y": 3.0, "label": "first"}, {"simulated": False, "x": 1, "y": None, "label": "second"},
    ]  # fmt: skip


def test_a_second_axis_has_a_column_of_its_own():
    figure = go.Figure(go.Scatter(x=[1, 2], y=[5, 4], name="loss"))
    figure.add_scatter(x=[2], y=[0.3], name="score", yaxis="y2")
    figure.update_layout(xaxis_title="step", yaxis={"title": "loss"}, yaxis2={"title": "R²", "overlaying": "y"})
    table = pd.read_csv(io.StringIO(as_csv(figure, True)))
    assert list(table) == ["simulated", "series", "step", "loss", "R²"] and len(table) == 3 and table.simulated.all()
    assert table["R²"].isna().tolist() == [True, True, False] and table.loss.isna().tolist() == [False, False, True]


def test_cells_are_one_row_each():
    figure = go.Figure(go.Heatmap(x=["V1", "V2"], y=["1"], z=[[0.25, 0.75]])).update_layout(yaxis_title="cluster")
    assert [tuple(row.values())[1:] for row in numbers(figure)] == [("V1", "1", 0.25), ("V2", "1", 0.75)]
    assert list(numbers(figure)[0]) == ["simulated", "name", "cluster", "value"]


def test_an_empty_chart_has_no_numbers():
    assert numbers(go.Figure(go.Scatter())) == [] and as_csv(go.Figure()).strip() == ""


# Of each chart: where the word "simulated" stands, and every other text and sign of the legend.
BOXES = """() => [...document.querySelectorAll(".js-plotly-plot")].map((plot) => {
  const box = (e) => (({ left, right, top, bottom }) => ({ left, right, top, bottom }))(e.getBoundingClientRect());
  const lines = [...plot.querySelectorAll(".main-svg text")].flatMap((text) => {
    const several = [...text.querySelectorAll(".line")];
    return several.length ? several : [text];
  });
  const [tags, others] = [true, false].map((wanted) => lines.filter((e) => (e.textContent === "simulated") === wanted));
  return { tags: tags.map(box), others: [...others, ...plot.querySelectorAll(".legend .layers")].map(box) };
})"""


def overlap(one, other):
    """Do two boxes cover a part of each other, by more than their lines' own space?"""
    across = min(one["right"], other["right"]) - max(one["left"], other["left"])
    return across > 1 and min(one["bottom"], other["bottom"]) - max(one["top"], other["top"]) > 2


def test_a_visitor_saves_a_chart(browser, tmp_path):
    with start_app("tests/apps/chart_app.py", tmp_path / "home") as app:
        page = browser.new_page(viewport={"width": 420, "height": 500})
        page.goto(app.url)
        page.locator(".js-plotly-plot").nth(2).wait_for(timeout=60_000)
        charts = page.evaluate(BOXES)
        buttons = [one.bounding_box() for one in page.get_by_role("button", name="Save: picture or numbers").all()]
        files = {}
        for kind in ("PNG", "SVG", "CSV"):
            page.get_by_role("button", name="Save: picture or numbers").first.click()
            with page.expect_download(timeout=30_000) as got:
                page.get_by_role("menuitem", name=kind).click()
            files[kind] = tmp_path / got.value.suggested_filename
            got.value.save_as(files[kind])
        page.close()
    for chart, at in zip(charts, buttons, strict=True):  # the word and the button lie over nothing else
        (tag,) = chart["tags"]
        button = {"left": at["x"], "right": at["x"] + at["width"], "top": at["y"], "bottom": at["y"] + at["height"]}
        assert not overlap(tag, button)
        assert not [other for other in chart["others"] for one in (tag, button) if overlap(one, other)]
    assert [path.name for path in files.values()] == [
        f"simulated-a-small-chart.{kind}" for kind in ("png", "svg", "csv")
    ]
    with Image.open(files["PNG"]) as picture:
        assert picture.width == 3 * 560  # wide enough for print, however small the chart is on the page
        assert picture.convert("RGBA").getpixel((5, 5)) == (255, 255, 255, 255)
    drawing = files["SVG"].read_text(encoding="utf-8")
    assert "<svg" in drawing and "simulated" in drawing and "mean R²" in drawing
    table = pd.read_csv(files["CSV"])
    assert list(table) == ["simulated", "series", "level", "mean R²"] and table["mean R²"].tolist() == [0.5, 0.25, 0.75]
