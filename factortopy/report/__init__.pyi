from .whole import report as report
