"""What a carrier expects of a SIP host, from INVITE to BYE, and what it must not do for strangers."""

import random
import socket
import tempfile
import time
import unittest

import media
import messages
import ports
import service
import stand
from support import WithService
from trunk import Call, Trunk

# Longer than what is under way when media is to stop, and short beside what would come in that time if it did not.
UNDER_WAY_S, WATCH_S = 0.2, 0.5
# The only one of a service that has one pair.
PORT = ports.take(2, 2)
# RFC 3550 section 12.1.
SENDER_REPORT, DESCRIPTION, GOODBYE = 200, 202, 203


def kinds(report):
    """The types of the packets of a compound RTCP packet (RFC 3550 section 6.1), and the SSRC of the first."""
    _, _, data = report
    ssrc, found = int.from_bytes(data[4:8], "big"), []
    while data:
        found.append(data[1])
        data = data[4 + 4 * int.from_bytes(data[2:4], "big") :]
    return found, ssrc


def is_goodbye(report):
    """Whether the sender says that it is gone."""
    return GOODBYE in kinds(report)[0]


class Calls(WithService):
    def test_an_invite_is_answered_with_mu_law_keys_and_20_ms_along_its_record_route(self):
        with self.trunk.placed(stand.ECHO) as call:
            self.assertEqual(call.answer.all("Record-Route"), call.invite.all("Record-Route"))
            self.assertEqual(call.answer.all("Via"), call.invite.all("Via"))
            host = "{}:{}".format(*self.trunkline.sip)
            self.assertRegex(call.answer.get("Contact"), rf"^<sip:\w+@{host}>$")
            self.assertTrue(call.answer.tag("To"))
            sdp = call.answer.body.decode().splitlines()
            self.assertRegex(next(line for line in sdp if line.startswith("m=")), r"^m=audio \d+ RTP/AVP 0 101$")
            for line in ("a=rtpmap:0 PCMU/8000", "a=rtpmap:101 telephone-event/8000", "a=ptime:20", "a=sendrecv"):
                self.assertIn(line, sdp)

    def test_what_is_said_comes_back_and_the_end_is_the_callers(self):
        with self.trunk.placed(stand.ECHO) as call:
            speech = stand.ulaw(stand.SPEECH / "librivox_austen_0880_16k.wav")[: 2 * 8000]
            call.line.say(speech)
            service.wait_for(lambda: len(call.line.packets) > 200, 10, "four seconds of sound")
            self.assertEqual(call.hang_up().status, 200)
            service.wait_for(lambda: call.line.reports and is_goodbye(call.line.reports[-1]), 10, "the last report")
        self.assertGreater(abs(call.line.heard()[: 4 * 8000].astype(int)).max(), 5_000)
        self.assertEqual(self.trunkline.ended(call.call_id)["endReason"], "caller_hangup")
        self.assertEqual(self.live(call.call_id), 0)

    def test_an_invite_that_comes_again_is_one_call(self):
        with self.trunk.placed(stand.ECHO) as call:
            self.trunk.send(call.invite)
            self.trunk.send(call.invite)
            self.trunk.settle()
            self.assertEqual(self.live(call.call_id), 1)
            answers = [m for m in self.trunk.seen if m.status == 200 and m.get("CSeq") == call.invite.get("CSeq")]
            self.assertEqual({answer.tag("To") for answer in answers}, {call.answer.tag("To")})
            self.assertEqual({answer.body for answer in answers}, {call.answer.body})

    def test_a_200_is_sent_until_it_is_acknowledged(self):
        line = media.Line()
        self.addCleanup(line.close)
        call = Call(self.trunk, line, self.trunk.invite(stand.ECHO, messages.offer(*line.address)))
        self.trunk.send(call.invite)
        first = self.trunk.final(call.invite)
        for _ in range(2):
            self.assertEqual(self.trunk.final(call.invite).to_bytes(), first.to_bytes())
        call.answered(first)
        call.acknowledge()
        self.trunk.settle()
        before = len(self.trunk.seen)
        # The next one would have come after 4 * T1, 2 s.
        time.sleep(2.2)
        self.trunk.settle()
        self.assertEqual(len(self.trunk.seen), before + 1, "only OPTIONS is answered")
        call.hang_up()

    def test_a_cancelled_call_is_over_one_way_or_the_other(self):
        statuses = set()
        for _ in range(30):
            call = Call(self.trunk, None, self.trunk.invite(stand.ECHO, messages.offer("127.0.0.1", 30_120)))
            cancel = messages.Message(
                call.invite.start.replace("INVITE", "CANCEL", 1),
                [h for h in call.invite.headers if h[0] in ("Max-Forwards", "From", "To", "Call-ID")],
            )
            cancel.headers.insert(0, ("Via", call.invite.get("Via")))
            cancel.put("CSeq", "1001 CANCEL")
            self.trunk.send(call.invite)
            self.trunk.send(cancel)
            self.assertEqual(self.trunk.final(cancel).status, 200)
            answer = self.trunk.final(call.invite)
            statuses.add(answer.status)
            if answer.status == 200:
                # It was answered before; then it is hung up as any other.
                call.answered(answer)
                call.acknowledge()
                self.assertEqual(call.hang_up().status, 200)
            else:
                call.acknowledge_refusal(answer)
            service.wait_for(lambda: not self.live(call.call_id), 10, "the end of a cancelled call")
        self.assertIn(487, statuses)
        self.assertLessEqual(statuses, {200, 487})

    def test_options_tell_what_is_understood(self):
        answer = self.trunk.final(self.trunk.ask("OPTIONS"))
        self.assertEqual(answer.status, 200)
        allowed = answer.get("Allow").split(", ")
        self.assertLessEqual({"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "UPDATE"}, set(allowed))

    def test_requests_that_make_no_sense_are_told_so(self):
        for method, status in (("BYE", 481), ("UPDATE", 481), ("REGISTER", 405), ("SUBSCRIBE", 405)):
            with self.subTest(method):
                self.assertEqual(self.trunk.final(self.trunk.ask(method)).status, status)
        with self.trunk.placed(stand.ECHO) as call:
            bye = call.request("BYE")
            bye.put("To", bye.get("To") + "x")
            self.trunk.send(bye)
            self.assertEqual(self.trunk.final(bye).status, 481)
            self.assertEqual(self.live(call.call_id), 1)

    def test_calls_without_a_codec_of_ours_or_a_route_are_refused(self):
        g729 = {"codecs": ("18 G729/8000",)}
        for to, keywords, status in ((stand.ECHO, g729, 488), (stand.REJECTED, {}, 603)):
            with self.subTest(status):
                answer = self.refused(to, **keywords)
                self.assertEqual(answer.status, status)

    def test_a_law_is_taken_where_that_is_all_there_is(self):
        answer = self.refused(stand.ECHO, codecs=("8 PCMA/8000",))
        self.assertEqual(answer.status, 200)
        self.assertIn(" RTP/AVP 8 101", answer.body.decode())

    def test_a_key_is_a_key_and_no_sound(self):
        with self.trunk.placed(stand.ECHO) as call:
            for key in "159#":
                call.line.press(key)
            service.wait_for(call.line.is_silent, 10, "the keys")

            def pressed():
                entries = self.trunkline.call(call.call_id)["timeline"]
                return [entry["text"] for entry in entries if entry["kind"] == "dtmf"]

            service.wait_for(lambda: len(pressed()) >= 4, 10, "the keys in the timeline")
            self.assertEqual(pressed(), list("159#"))
            self.assertLess(abs(call.line.heard().astype(int)).max(initial=0), 100)

    def test_reports_tell_what_was_sent(self):
        with self.trunk.placed(stand.ECHO) as call:
            report = service.wait_for(lambda: call.line.reports, 15, "a report")[0]
            sent = [packet for packet in call.line.packets if packet.at <= report[0]]
            found, ssrc = kinds(report)
            self.assertEqual((found, ssrc), ([SENDER_REPORT, DESCRIPTION], sent[0].ssrc))
            # RFC 3550 section 6.4.1: the sender's packet count.
            self.assertAlmostEqual(int.from_bytes(report[2][20:24], "big"), len(sent), delta=3)

    def test_a_key_by_info_is_a_key_too(self):
        with self.trunk.placed(stand.ECHO) as call:
            info = call.request("INFO", headers=[("Content-Type", "application/dtmf-relay")])
            info.body = b"Signal=7\r\nDuration=160\r\n"
            self.trunk.send(info)
            self.assertEqual(self.trunk.final(info).status, 200)

            def pressed():
                return [e["text"] for e in self.trunkline.call(call.call_id)["timeline"] if e["kind"] == "dtmf"]

            self.assertEqual(service.wait_for(pressed, 10, "the key"), ["7"])


class Changes(WithService):
    """re-INVITE, UPDATE and session timers of a call that is up."""

    def is_heard(self, line):
        """Whether packets still come."""
        time.sleep(UNDER_WAY_S)
        before = len(line.packets)
        time.sleep(WATCH_S)
        return len(line.packets) - before > 5

    def test_hold_and_resume(self):
        with self.trunk.placed(stand.ECHO) as call:
            ip, port = call.line.address
            held = [
                (messages.offer(ip, port, "sendonly", version=2), "recvonly"),
                (messages.offer(ip, port, "inactive", version=4), "inactive"),
                (messages.offer(ip, port, version=6).replace(b"c=IN IP4 127.0.0.1", b"c=IN IP4 0.0.0.0"), None),
            ]
            for number, (hold, direction) in enumerate(held):
                with self.subTest(direction or "c=0.0.0.0"):
                    self.assertTrue(self.is_heard(call.line), "the line speaks")
                    answer = call.change(hold)
                    self.assertEqual(answer.status, 200)
                    if direction:
                        self.assertIn(f"a={direction}\r\n", answer.body.decode())
                    self.assertFalse(self.is_heard(call.line), "nothing is sent to who is on hold")
                    answer = call.change(messages.offer(ip, port, version=3 + 2 * number))
                    self.assertIn("a=sendrecv\r\n", answer.body.decode())
            self.assertTrue(self.is_heard(call.line))
            self.assertEqual(self.live(call.call_id), 1)

    def test_media_moves_where_a_re_invite_says(self):
        with self.trunk.placed(stand.ECHO) as call:
            service.wait_for(lambda: call.line.packets, 10, "media")
            other = media.Line()
            self.addCleanup(other.close)
            answer = call.change(messages.offer(*other.address, version=2))
            self.assertEqual(answer.media(), call.answer.media())
            other.speak_to(answer.media())
            self.assertTrue(self.is_heard(other))
            self.assertFalse(self.is_heard(call.line))

    def test_a_change_that_cannot_be_leaves_the_call_as_it_was(self):
        with self.trunk.placed(stand.ECHO) as call:
            answer = call.change(messages.offer(*call.line.address, codecs=("18 G729/8000",)))
            self.assertEqual(answer.status, 488)
            self.assertTrue(self.is_heard(call.line))

    def test_a_re_invite_without_an_offer_gets_one(self):
        with self.trunk.placed(stand.ECHO) as call:
            request = call.request("INVITE")
            self.trunk.send(request)
            answer = self.trunk.final(request)
            self.assertEqual((answer.status, answer.media()), (200, call.answer.media()))
            ack = call._request("ACK", int(request.get("CSeq").split()[0]))
            ack.headers.append(("Content-Type", "application/sdp"))
            ack.body = messages.offer(*call.line.address, version=2)
            self.trunk.send(ack)
            self.assertTrue(self.is_heard(call.line))

    def test_update_keeps_a_session_alive(self):
        timer = [("Supported", "timer"), ("Session-Expires", "120;refresher=uac")]
        with self.trunk.placed(stand.ECHO, headers=timer) as call:
            self.assertEqual(call.answer.get("Session-Expires"), "120;refresher=uac")
            update = call.request("UPDATE", headers=timer)
            self.trunk.send(update)
            answer = self.trunk.final(update)
            self.assertEqual((answer.status, answer.get("Session-Expires")), (200, "120;refresher=uac"))
            self.assertEqual(answer.body, b"")

    def test_a_session_that_is_too_short_is_refused_with_the_shortest(self):
        timer = [("Supported", "timer"), ("Session-Expires", "30")]
        call = Call(self.trunk, None, self.trunk.invite(stand.ECHO, messages.offer("127.0.0.1", 30_120), headers=timer))
        self.trunk.send(call.invite)
        answer = self.trunk.final(call.invite)
        call.acknowledge_refusal(answer)
        self.assertEqual((answer.status, answer.get("Min-SE")), (422, "90"))


class Full(WithService):
    settings = {"calls__max": "1"}

    def test_the_call_after_the_last_is_busy(self):
        with self.trunk.placed(stand.ECHO) as call:
            self.assertEqual(self.refused(stand.ECHO).status, 486)
            self.assertEqual(self.live(call.call_id), 1)
        self.trunkline.ended(call.call_id)
        self.assertEqual(self.refused(stand.ECHO).status, 200)


class NoPorts(WithService):
    settings = {"sip__rtp_ports": f"{PORT}-{PORT + 1}"}

    def test_a_call_without_a_port_left_is_busy_and_the_port_comes_back(self):
        with self.trunk.placed(stand.ECHO) as call:
            self.assertEqual(self.refused(stand.ECHO).status, 486)
        self.trunkline.ended(call.call_id)
        self.assertEqual(self.refused(stand.ECHO).status, 200)


class Draining(WithService):
    def test_new_calls_are_sent_elsewhere_and_live_ones_go_on(self):
        with self.trunk.placed(stand.ECHO) as call:
            self.trunkline.post("/admin/drain")
            answer = self.refused(stand.ECHO)
            self.assertEqual(answer.status, 503)
            self.assertGreater(int(answer.get("Retry-After")), 0)
            before = len(call.line.packets)
            service.wait_for(lambda: len(call.line.packets) > before + 25, 10, "the live call's media")


class Ending(unittest.TestCase):
    def test_a_service_that_is_ended_says_bye_to_its_calls(self):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        trunkline = stand.Trunkline(f"{directory}/log")
        self.addCleanup(trunkline.stop)
        trunk = Trunk(trunkline.sip)
        self.addCleanup(trunk.close)
        call = trunk.place(stand.ECHO)
        self.addCleanup(call.line.close)
        trunkline.process.terminate()
        service.wait_for(lambda: "draining" in trunkline.log_file.read_text(encoding="utf-8"), 10, "the drain")
        before = len(call.line.packets)
        service.wait_for(lambda: len(call.line.packets) > before + 25, 10, "the live call's media")
        trunkline.process.terminate()
        self.assertEqual(call.hung_up().came_to, "route")
        self.assertEqual(trunkline.process.wait(10), 0)


class Strangers(WithService):
    """127.0.0.2 is not in the allow-list."""

    def test_a_stranger_gets_nothing_at_all(self):
        stranger = Trunk(self.trunkline.sip, ip="127.0.0.2")
        self.addCleanup(stranger.close)
        invite = stranger.invite(stand.ECHO, messages.offer("127.0.0.2", 30_120))
        bad = b"INVITE sip:6001@x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.2\r\nContent-Length: -1\r\n\r\n"
        for words in (stranger.new_request("OPTIONS"), invite, bad, b"\r\n\r\n", b"\x00" * 100):
            stranger.send(words)
        # One socket is worked off in order: when a friend has his answer, strangers would have theirs.
        self.trunk.settle()
        with self.assertRaises(AssertionError):
            stranger.wait(lambda _: True, "anything", 0.2)
        self.assertEqual(self.trunkline.calls(ended=False), [])

    def test_a_stranger_by_tcp_is_hung_up_on(self):
        with socket.socket() as stream:
            stream.settimeout(10)
            stream.bind(("127.0.0.2", 0))
            stream.connect(self.trunkline.sip)
            try:
                stream.sendall(self.trunk.new_request("OPTIONS").to_bytes())
                self.assertEqual(stream.recv(1000), b"")
            except (ConnectionResetError, BrokenPipeError):
                pass

    def test_media_of_a_stranger_moves_nothing(self):
        with self.trunk.placed(stand.ECHO) as call:
            service.wait_for(lambda: len(call.line.packets) > 25, 10, "media")
            attackers = [media.Line("127.0.0.1"), media.Line("127.0.0.2"), media.Line("127.0.1.1")]
            for attacker in attackers:
                self.addCleanup(attacker.close)
                attacker.speak_to(call.answer.media())
                attacker.say(bytes([0x80]) * 8000)
            before = len(call.line.packets)
            service.wait_for(lambda: len(call.line.packets) > before + 75, 10, "media of the live call")
            for attacker in attackers:
                self.assertEqual((attacker.packets, attacker.reports), ([], []))
            # 0x80 is the loudest there is.
            self.assertLess(abs(call.line.heard().astype(int)).max(), 100)


class Passwords(WithService):
    settings = {"sip__username": "trunk", "sip__password": "correct horse"}

    def challenged(self):
        """A call, and the challenges it met."""
        call = Call(self.trunk, None, self.trunk.invite(stand.ECHO, messages.offer("127.0.0.1", 30_120)))
        self.trunk.send(call.invite)
        answer = self.trunk.final(call.invite)
        call.acknowledge_refusal(answer)
        self.assertEqual(answer.status, 401)
        return call, answer.all("WWW-Authenticate")

    def retried(self, call, challenge, password):
        """The answer to the INVITE with that password."""
        call.invite.put("Via", f"{call.invite.get('Via').split(';')[0]};branch={messages.branch()}")
        call.invite.put("Authorization", messages.credentials(challenge, "trunk", password, call.invite))
        call.again()
        self.trunk.send(call.invite)
        return self.trunk.final(call.invite)

    def test_a_caller_with_the_password_is_let_in_by_each_algorithm(self):
        _, challenges = self.challenged()
        self.assertGreaterEqual(len(challenges), 1)
        for number in range(len(challenges)):
            call, challenges = self.challenged()
            with self.subTest(challenges[number]):
                answer = self.retried(call, challenges[number], "correct horse")
                call.answered(answer)
                call.acknowledge()
                self.assertEqual(call.hang_up().status, 200)

    def test_a_wrong_password_is_none(self):
        call, challenges = self.challenged()
        answer = self.retried(call, challenges[0], "battery staple")
        call.acknowledge_refusal(answer)
        self.assertIn(answer.status, (401, 403))
        self.assertEqual(self.live(call.call_id), 0)


class Trunks(unittest.TestCase):
    def test_trunks_are_asked_whether_they_are_there(self):
        trunk = Trunk(("127.0.0.1", 0))
        self.addCleanup(trunk.close)
        directory = self.enterContext(tempfile.TemporaryDirectory())
        host = "{}:{}".format(*trunk.source)
        settings = {"sip__trunks": host, "sip__options_interval": "5s"}
        trunkline = self.enterContext(stand.Trunkline(f"{directory}/log", **settings))
        trunk.service = trunkline.sip
        options = trunk.wait(lambda message: message.method == "OPTIONS", "OPTIONS", 10)
        self.assertEqual(options.start, f"OPTIONS sip:{host} SIP/2.0")
        self.assertEqual(trunkline.metric("sip_trunks_alive"), 0)
        trunk.send(messages.answer(options, 200, "OK", tag="here"))
        service.wait_for(lambda: trunkline.metric("sip_trunks_alive") == 1, 10, "that the trunk is known to be there")


class Torture(WithService):
    """Whatever comes, calls go on; see also the fuzz targets."""

    def test_mangled_messages_and_packets_end_no_call(self):
        seed = int(time.time())
        print(f"seed {seed}", flush=True)
        chance = random.Random(seed)
        with self.trunk.placed(stand.ECHO) as call:
            samples = [path.read_bytes() for path in stand.FIXTURES.glob("*.sip")]
            samples += [m.to_bytes() for m in (call.invite, call.request("BYE"), call.request("UPDATE"))]
            for number in range(1_000):
                words = bytearray(chance.choice(samples))
                for _ in range(chance.randrange(1, 20)):
                    place = chance.randrange(len(words))
                    words[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
                # A BYE that is whole in all that counts is a BYE.
                words = bytes(words).replace(call.answer.tag("To").encode(), b"none")
                self.trunk.send(words)
                begun = chance.choice([b"", b"\x80\x00", b"\x80\x65", b"\x81\xc8"])
                packet = begun + chance.randbytes(chance.randrange(200))
                chance.choice([call.line.rtp, call.line.rtcp]).sendto(packet, call.answer.media())
                if number % 50 == 0:
                    self.trunk.settle()
            before = len(call.line.packets)
            service.wait_for(lambda: len(call.line.packets) > before + 50, 10, "the live call's media")
            self.assertEqual(self.live(call.call_id), 1)


if __name__ == "__main__":
    unittest.main()
