"""A page with one chart, for tests in a real browser."""

import plotly.graph_objects as go

from pages import saving

figure = go.Figure(go.Scatter(x=[1, 2, 3], y=[0.5, 0.25, 0.75], name="one", mode="markers"))
figure.update_layout(height=200, xaxis_title="level", yaxis_title="mean R²")
saving.chart(figure, "a small chart", simulated=True)
