"""A page with one chart, for tests in a real browser."""

import plotly.graph_objects as go

from pages.parts import saving

figure = go.Figure(go.Scatter(x=[1, 2, 3], y=[0.5, 0.25, 0.75], name="one", mode="markers"))
figure.update_layout(height=200, xaxis_title="level", yaxis_title="mean R²")
saving.chart(figure, "a small chart", simulated=True)
figure = go.Figure([go.Bar(x=["V1", "V2"], y=[k, 1], name=f"pictures of words {k}") for k in range(3)])
figure.update_layout(height=240, legend={"orientation": "h", "y": 1.15})
saving.chart(figure, "with a legend", simulated=True)
figure = go.Figure(go.Bar(x=[1, 2], y=[1, 2]))
title = {"text": "A title as long as the chart is wide, or very nearly so", "font": {"size": 14}}
figure.update_layout(height=140, margin={"t": 26}, title=title)
saving.chart(figure, "with a title", simulated=True)
