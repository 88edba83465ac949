"""What a run found, as a table, as JSON and as one HTML page."""
import html
import statistics

COLUMNS = ("cpu_us", "per_second", "p50_ms", "p99_ms", "resident_mib")


def medians(samples):
    return {key: statistics.median(sample[key] for sample in samples) for key in COLUMNS}


def spread(samples):
    """Half the range of the CPU figures, as a part of their median."""
    values = [sample["cpu_us"] for sample in samples]
    return (max(values) - min(values)) / 2 / max(statistics.median(values), 1e-9)


def table(row, results):
    lines = [f"\n{row.name}: {row.title}"]
    ours = medians(results["remora"])["cpu_us"] if "remora" in results else None
    for peer, samples in results.items():
        figures = medians(samples)
        ratio = f"{ours / figures['cpu_us']:5.2f}x" if ours and figures["cpu_us"] else "     -"
        lines.append(
            f"  {peer:8} {figures['cpu_us']:8.1f} us CPU +-{spread(samples):3.0%}  Remora {ratio}"
            f" of it  {figures['per_second']:8.0f}/s  p50 {figures['p50_ms']:7.2f}"
            f"  p99 {figures['p99_ms']:7.2f} ms  {figures['resident_mib']:6.1f} MiB"
        )
    return "\n".join(lines)


def _bars(results):
    widest = max(medians(samples)["cpu_us"] for samples in results.values())
    parts, height = [], 26
    for index, (peer, samples) in enumerate(results.items()):
        value = medians(samples)["cpu_us"]
        width = 460 * value / max(widest, 1e-9)
        y = index * height
        colour = "#0b7285" if peer == "remora" else "#adb5bd"
        parts.append(
            f'<text x="0" y="{y + 17}">{html.escape(peer)}</text>'
            f'<rect x="80" y="{y + 4}" width="{width:.1f}" height="18" fill="{colour}"/>'
            f'<text x="{86 + width:.1f}" y="{y + 17}">{value:.1f}</text>'
        )
    return f'<svg width="620" height="{height * len(results)}">{"".join(parts)}</svg>'


def page(machine, rows, results):
    """A page that needs nothing beside itself."""
    body = [
        "<!doctype html><meta charset=utf-8><title>Remora beside its peers</title>",
        "<style>body{font:15px system-ui;max-width:46em;margin:2em auto;color:#212529}"
        "svg text{font:13px system-ui}h2{margin:1.6em 0 .4em}</style>",
        "<h1>Remora beside its peers</h1>",
        f"<p>CPU microseconds a request, medians; less is better. {html.escape(machine)}</p>",
    ]
    for name, found in results.items():
        if found:
            body.append(f"<h2>{html.escape(rows[name].title)}</h2>{_bars(found)}")
    return "\n".join(body) + "\n"
