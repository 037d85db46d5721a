"""Nothing of the user's, and nothing global, has changed."""

from __future__ import annotations

from jaccheck._report import Verdict
from jaccheck.judging.trial import Trial


class State:
    """After the call everything is as it was, also where the call failed; what isn't is named, then put back."""

    name = "state"
    cheap = True

    def judge(self, trial: Trial) -> Verdict:
        run, path = trial.run, trial.path.name
        if run.changes:
            reason = "\n".join(run.changes)
            return Verdict(path, "disagrees", "state", self.name, reason=reason, seconds=run.seconds)
        if run.unsupported is not None:
            return Verdict(path, "unsupported", property=self.name, reason=run.unsupported, seconds=run.seconds)
        return Verdict(path, "agrees", property=self.name, seconds=run.seconds)
