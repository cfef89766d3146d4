"""Print what the benchmarks measured in the units the claims are made in."""


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    found = getattr(session, "benchmarks", [])
    if answers := [b for b in found if "megabytes" in b.extra_info]:
        terminalreporter.section("answers of the command line")
    for b in answers:
        terminalreporter.write_line(f"{b.param:18s} {b.extra_info['megabytes']:5} MB")
    rows = [b for b in found if "ms_per_run_step" in b.extra_info]
    if not rows:
        return
    terminalreporter.section("training steps")
    reference = {
        name: min(b.extra_info["ms_per_run_step"] for b in rows if b.extra_info["what"] == name)
        for name in {b.extra_info["what"] for b in rows}
    }
    plain, full = reference.get("plain flax + optax"), reference.get("full space, 1 run")
    for b in rows:
        ms, what = b.extra_info["ms_per_run_step"], b.extra_info["what"]
        against = [f"{ms / r:5.2f} x {n}" for n, r in (("plain", plain), ("full", full)) if r]
        notes = b.extra_info.get("notes", "")
        terminalreporter.write_line(f"{what:28s} {ms:8.2f} ms   {'   '.join(against)}   {notes}")
