"""Everything that ``docs/results.md`` reports: which clips are measured, how, and beside which simpler answers."""
