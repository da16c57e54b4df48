"""Timers of the protocol, side by side; most of a minute of waiting."""

import time
import unittest

import media
import messages
import stand
from support import WithService
from trunk import Call


class Timers(WithService):
    settings = {"sip__session_expires": "90s"}

    def test_calls_that_nobody_acknowledges_or_refreshes_end_by_themselves(self):
        timer = [("Supported", "timer"), ("Allow", "INVITE, ACK, BYE, UPDATE")]
        with self.trunk.placed(stand.ECHO, headers=timer) as refreshed:
            self.assertEqual(refreshed.answer.get("Session-Expires"), "90;refresher=uas")
            line = media.Line()
            self.addCleanup(line.close)
            call = Call(self.trunk, line, self.trunk.invite(stand.ECHO, messages.offer(*line.address)))
            begun = time.monotonic()
            self.trunk.send(call.invite)
            call.answered(self.trunk.final(call.invite))
            call.hung_up(40)
            self.assertAlmostEqual(time.monotonic() - begun, 32, delta=1.5)
            self.assertEqual(self.trunkline.ended(call.call_id)["state"], "ended")
            # Half of the session's interval.
            update = self.trunk.asked("UPDATE", refreshed.call_id, 20)
            self.assertEqual(update.came_to, "route")
            self.assertEqual(update.get("Session-Expires"), "90;refresher=uac")
            headers = [("Contact", refreshed.invite.get("Contact")), ("Session-Expires", "90;refresher=uac")]
            self.trunk.send(messages.answer(update, 200, "OK", headers=headers))
            self.trunk.settle()
            self.assertEqual(self.live(refreshed.call_id), 1)


if __name__ == "__main__":
    unittest.main()
