import io
import pickle

import pytest

from sbir.tracking.live import LiveView, SweepState, TrialLine

METRIC = "val/precision_at_20"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def make_state(num_ended: int = 3, share: float = 0.25) -> SweepState:
    ended = [
        TrialLine("cross_modal-0", "latent=512", "COMPLETE", 0.412, step=400),
        TrialLine("cross_modal-1", "latent=256 [bold]", "PRUNED", 0.2, step=100),
        TrialLine("cross_modal-2", "latent=64", "FAIL", None, reason="loss term kl is nan at step 40", step=40),
    ]
    best = TrialLine("cross_modal-0", "latent=512", "COMPLETE", 0.412, fusion="0.4")
    running = [TrialLine("cross_modal-3", "latent=128", "RUNNING", 0.3, step=200, steps=400)]
    return SweepState("search", METRIC, share, running, ended[:num_ended], best)


def test_plain_output_is_a_line_at_the_start_one_per_ended_trial_and_one_at_the_end() -> None:
    out, view = io.StringIO(), LiveView("sweep", "runs/sweep")
    view.start(out)
    view.update(make_state(num_ended=1))
    view.update(make_state(num_ended=1))  # nothing new
    view.update(make_state(num_ended=2))
    view.stop(make_state())
    lines = out.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[0] == "sweep: started, run folder runs/sweep"
    assert lines[1] == "[0 s] 1 (25 %) cross_modal-0 done, precision_at_20 41.2 %, best 41.2 %; 400 steps; latent=512"
    assert "2 (25 %) cross_modal-1 pruned, precision_at_20 20.0 %" in lines[2]
    assert lines[2].endswith("latent=256 [bold]")  # settings are no markup
    assert "failed, loss term kl is nan at step 40" in lines[3]
    assert lines[4] == "sweep: trials over after 0 s: 3 trials (1 done, 1 pruned, 1 failed)"
    assert "\x1b" not in out.getvalue()


def test_a_terminal_shows_running_trials_counts_best_and_remaining_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    out, view = Terminal(), LiveView("sweep", "runs/sweep")
    view.start(out, width=100, elapsed=30.0)
    view.update(make_state(share=0.0))
    view._drawn = 0.0  # as if the last picture were old
    view.update(make_state(share=0.25))
    shown = out.getvalue()
    for part in ("cross_modal-3", "200/400", "3 trials (1 done, 1 pruned, 1 failed)", "41.2 %", "lambda 0.4"):
        assert part in shown
    assert "remaining time not known yet" in shown
    assert "about 1 min 30 s left" in shown  # a quarter took 30 s
    view.stop(make_state())
    assert out.getvalue().rstrip().endswith("(1 done, 1 pruned, 1 failed)")


def test_a_resumed_sweep_counts_its_own_pace_only() -> None:
    out, view = Terminal(), LiveView("sweep", "runs/sweep")
    view.start(out, width=100, elapsed=10.0)
    view.update(make_state(share=0.5))
    view._drawn = 0.0
    view.update(make_state(share=0.75))  # a quarter in 10 s, a quarter left
    assert "about 10 s left" in out.getvalue()
    view.stop()


def test_it_can_be_pickled_before_it_is_started_and_used_without_being_started() -> None:
    view = pickle.loads(pickle.dumps(LiveView("sweep", "runs/sweep")))
    view.update(make_state())
    view.stop()
