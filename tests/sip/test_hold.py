"""Calls that are held, moved and resumed with offers that the far end asks for, longer than media may stay away."""

import time
import unittest

import media
import messages
import service
import stand
from support import WithService


class Hold(WithService):
    settings = {"calls__media_timeout": "1s"}
    LONG_S = 2.5

    def silence(self, call):
        """From now on nothing comes from the caller; returns where it went before."""
        away = media.bound("127.0.0.1")
        self.addCleanup(away.close)
        before, call.line._to = call.line._to, away.getsockname()
        return before

    def resume(self, call, sdp):
        """Asks for an offer and answers it with `sdp`; the offer."""
        request = call.request("INVITE")
        self.trunk.send(request)
        offer = self.trunk.final(request)
        self.assertEqual(offer.status, 200)
        ack = call._request("ACK", int(request.get("CSeq").split()[0]))
        ack.headers.append(("Content-Type", "application/sdp"))
        ack.body = sdp
        self.trunk.send(ack)
        return offer.body.decode()

    def hears(self, line):
        """Waits until a second of packets has come from now on."""
        before = len(line.packets)
        service.wait_for(lambda: len(line.packets) > before + 50, 10, "media")

    def test_who_is_on_hold_for_long_is_not_hung_up_on(self):
        for direction in ("inactive", "sendonly"):
            with self.subTest(direction), self.trunk.placed(stand.ECHO) as call:
                ip, port = call.line.address
                self.assertEqual(call.change(messages.offer(ip, port, direction, version=2)).status, 200)
                to = self.silence(call)
                time.sleep(self.LONG_S)
                self.assertEqual(self.live(call.call_id), 1)
                self.assertIn("a=sendrecv\r\n", self.resume(call, messages.offer(ip, port, version=3)))
                call.line._to = to
                self.hears(call.line)

    def test_who_is_not_and_says_nothing_is(self):
        with self.trunk.placed(stand.ECHO) as call:
            self.hears(call.line)
            self.silence(call)
            call.hung_up()
        self.assertEqual(self.trunkline.ended(call.call_id)["endReason"], "media_lost")

    def test_media_moves_where_the_answer_to_our_offer_says(self):
        with self.trunk.placed(stand.ECHO) as call:
            self.hears(call.line)
            other = media.Line()
            self.addCleanup(other.close)
            self.resume(call, messages.offer(*other.address, version=2))
            other.speak_to(call.answer.media())
            self.hears(other)
            self.assertEqual(self.live(call.call_id), 1)


if __name__ == "__main__":
    unittest.main()
