"""Prints the medians of a file of results, with their ratios to FalconQueue: `table.py FILE`.

FalconQueue's median over that of the system: more than 1 is better for a rate, less than 1 for a time."""
import collections
import json
import statistics
import sys

FIGURES = ("jobs_per_second", "p50_us", "p99_us")

rounds = collections.defaultdict(list)
with open(sys.argv[1]) as file:
    for line in map(json.loads, file):
        for figure in FIGURES:
            if figure in line:
                rounds[line["scenario"], figure, line["framework"]].append(line[figure])
medians = {key: statistics.median(values) for key, values in rounds.items()}
print(f"{'scenario':10} {'figure':16} {'framework':16} {'rounds':>6} {'median':>10} {'falconqueue/it':>15}")
order = list(dict.fromkeys(key[:2] for key in medians))
for (scenario, figure, framework), median in sorted(medians.items(), key=lambda item: order.index(item[0][:2])):
    ours = medians.get((scenario, figure, "falconqueue"))
    ratio = f"{ours / median:.2f}" if ours and median else "-"
    count = len(rounds[scenario, figure, framework])
    print(f"{scenario:10} {figure:16} {framework:16} {count:6} {median:10.0f} {ratio:>15}")
