"""The methods' cost: real networks, a short run, and a page whose numbers are those of the run."""

from train.tools import benchmark_methods
from train.tools.benchmark_methods import markdown


def test_rows_are_measured_and_printed():
    paper, small = (benchmark_methods.measure("emoface", small=small, threads=1, repeats=1) for small in (False, True))
    assert paper["parameters"] > small["parameters"] and min(paper["factor"], small["factor"]) > 0
    page = markdown(dict(command="x", date="y", vertices=4326, threads=1, encoder=0.02, rows=[dict(paper, size="paper"), dict(small, size="small")]))
    for row, size in ((paper, "paper"), (small, "small")):
        assert f"| EmoFace (ours) | {size} | {row['parameters'] / 1e6:.2f} M | {row['factor']:.4f} |" in page
