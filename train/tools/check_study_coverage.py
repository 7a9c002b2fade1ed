"""Check the study's statistics on simulated raters: do 95 % intervals hold the truth 93 to 97 % of the time?

python -m train.tools.check_study_coverage --studies 2000
"""

from __future__ import annotations

import argparse
import gc
import sys

from emoface.study.simulate import check_coverage


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--raters", type=int, nargs="+", default=[16, 24, 48])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    passed = True
    check_coverage(studies=1)
    gc.freeze()  # statsmodels collects garbage after every correction; what is loaded by now need not be searched
    for raters in arguments.raters:
        found = check_coverage(studies=arguments.studies, raters=raters, seed=arguments.seed)
        fine = 0.93 <= found.t <= 0.97 and 0.93 <= found.bootstrap <= 0.97 and found.false_alarm <= 0.06
        passed &= fine
        print(
            f"{raters:3d} raters, {found.intervals} intervals: t {found.t:.2%}, bootstrap {found.bootstrap:.2%}, "
            f"false alarms after Holm {found.false_alarm:.2%} of {found.studies} studies{'' if fine else '  <- off'}",
            flush=True,
        )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
