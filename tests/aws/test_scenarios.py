"""Every recorded order of deliveries, through the queue into the running service."""

import json
import pathlib
import tempfile
import unittest

import service
import stand_in

# What becomes of each delivery, and the calls that are left when all was said: by name of the scenario.
# "once" is a call that an end ended, "reaped" one that nothing but the lack of media could end.
SCENARIOS = {
    "01-normal": (["applied"] * 4, ["once"]),
    "02-reordered-legs": (["applied"] * 4, ["once"]),
    "03-duplicate-started": (["applied", "duplicate", "duplicate", "applied"], ["once"]),
    # What is over before it began is never listed.
    "04-ended-before-started": (["applied", "stale", "stale", "applied"], []),
    "05-late-duplicate-started-after-end": (["applied"] * 4 + ["duplicate"], ["once"]),
    "06-one-leg-only": (["applied"], ["reaped"]),
    "07-no-ended": (["applied"] * 2, ["reaped"]),
    "08-same-callid-new-transaction": (["applied"] * 3, ["once", "reaped"]),
    "09-failed-mid-call": (["applied", "applied", "ignored", "applied", "applied"], ["once"]),
    "10-updated": (["applied", "ignored", "applied"], ["once"]),
}

# How long an announced call may be without media here, in seconds: "reaped" after that, "once" well before.
NO_MEDIA = 5


class Scenarios(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        moto = stand_in.Moto()
        cls.addClassCleanup(moto.close)
        cls.stack = stand_in.Stack(moto)
        logs = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.trunkline = stand_in.Trunkline(cls.stack, logs / "log", calls__no_media_timeout=f"{NO_MEDIA}s")
        cls.addClassCleanup(cls.trunkline.stop)

    def test_every_scenario_leads_to_what_it_expects(self):
        files = sorted((stand_in.FIXTURES / "scenarios").glob("*.json"))
        self.assertEqual([path.stem for path in files], sorted(SCENARIOS))
        expected = {}
        for path in files:
            outcomes, calls = SCENARIOS[path.stem]
            deliveries = stand_in.renamed(stand_in.rebased(json.loads(path.read_text(encoding="utf-8"))["deliveries"]))
            expected[deliveries[0]["detail"]["callId"]] = (path.stem, sorted(calls))
            with self.subTest(path.stem):
                # One after the other: a queue has no order, a scenario has.
                found = [
                    self.trunkline.outcome_of(lambda delivery=delivery: self.stack.send(json.dumps(delivery)))
                    for delivery in deliveries
                ]
                self.assertEqual(found, outcomes)

        # Nobody waits for media for ever.
        service.wait_for(lambda: not self.trunkline.calls(ended=False), NO_MEDIA + 20, "the end of all calls")
        ended = self.trunkline.calls()
        for call in ended:
            self.assertEqual(call["endReason"], "no_media")
        for call_id, (name, calls) in expected.items():
            with self.subTest(name):
                durations = [call["durationMs"] for call in ended if call["callId"] == call_id]
                found = sorted("reaped" if duration >= NO_MEDIA * 1000 else "once" for duration in durations)
                self.assertEqual(found, calls)
        self.assertEqual(len(ended), sum(len(calls) for _, calls in expected.values()))
        self.assertEqual(self.stack.depth(self.stack.queue), (0, 0))
        self.assertEqual(self.stack.depth(self.stack.dead_queue), (0, 0))


if __name__ == "__main__":
    unittest.main()
