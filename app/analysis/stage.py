"""Voice analysis.  Receives Utterance.  Emits one Analysis for each analyser."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from app.errors import BackendError
from app.messages import Analysis, Message, Utterance
from app.stage import Job, Stage

log = logging.getLogger(__name__)


class AnalysisStage(Stage):
    """Asks every configured analyser; one that fails does not silence the others."""

    name = "analysis"

    def process(self, job: Job) -> Iterator[Message]:
        utterance = job.message
        assert isinstance(utterance, Utterance)
        failure: BackendError | None = None
        for name, backend in self.backends.each():
            scores = (analyse(utterance.pcm16) for analyse in [backend.analyse])
            try:
                for found in self.backends.watched(scores, job):
                    yield Analysis(job.header, name, dict(found))
            except BackendError as error:
                log.warning("analyser %s failed: %s: %s", name, error.code, error.message)
                failure = error
        if failure is not None:
            raise failure
